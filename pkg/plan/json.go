// SPDX-License-Identifier: Apache-2.0

package plan

import "encoding/json"

// canonicalJSON sorts the keys of a JSON value, so that equal settings compare
// equal. What does not parse stays as it is.
func canonicalJSON(raw json.RawMessage) string {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return string(raw)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return string(raw)
	}
	return string(out)
}
