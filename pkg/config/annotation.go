// SPDX-License-Identifier: Apache-2.0

package config

import "encoding/json"

// CapabilityAnnotations is the capability by which containerd hands over a pod's
// annotations.
const CapabilityAnnotations = "io.kubernetes.cri.pod-annotations"

// readAnnotations reads the pod's annotations, which containerd sends to whoever
// has the capability (containerd, internal/cri/annotations).
func readAnnotations(doc document, c *Config) error {
	var raw json.RawMessage
	if err := doc.runtime(CapabilityAnnotations, &raw); err != nil || raw == nil {
		return err
	}
	if json.Unmarshal(raw, &c.Annotations) != nil {
		return wrongType(join("runtimeConfig", CapabilityAnnotations), "an object of strings", raw)
	}
	return nil
}
