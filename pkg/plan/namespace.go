// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// ownPrefix begins the GUID of every namespace that Bulkhead makes, so that it
// is told from those of runtimes.
const ownPrefix = "b01c4ead-"

// OwnNamespace returns the GUID of the namespace that Bulkhead makes for a
// container whose runtime makes none: always the same, so that every verb finds
// it.
func OwnNamespace(containerID string) string {
	sum := sha256.Sum256([]byte(containerID))
	return fmt.Sprintf("%s%x-%x-%x-%x", ownPrefix, sum[:2], sum[2:4], sum[4:6], sum[6:12])
}

// IsOwnNamespace reports whether Bulkhead made the namespace of that GUID.
func IsOwnNamespace(id string) bool { return strings.HasPrefix(id, ownPrefix) }
