// SPDX-License-Identifier: Apache-2.0

package config

import "encoding/json"

// readAnnotations reads the pod's annotations, which containerd sends to whoever
// has the capability (containerd, internal/cri/annotations).
func readAnnotations(doc document, c *Config) error {
	const key = "io.kubernetes.cri.pod-annotations"
	var raw json.RawMessage
	if err := doc.runtime(key, &raw); err != nil || raw == nil {
		return err
	}
	if json.Unmarshal(raw, &c.Annotations) != nil {
		return wrongType(join("runtimeConfig", key), "an object of strings", raw)
	}
	return nil
}
