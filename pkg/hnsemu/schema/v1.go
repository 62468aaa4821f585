// SPDX-License-Identifier: Apache-2.0

package schema

// AnswerV1 is what HNSCall answers (hcsshim, internal/hns/hnsfuncs.go).
type AnswerV1 struct {
	Success bool
	Error   string `json:",omitempty"`
	Output  any    `json:",omitempty"`
}

// AccelNet is the document of /accelnet (hcsshim, internal/hns/hnsaccelnet.go).
type AccelNet struct {
	MacAddressList []ManagementMAC `json:",omitempty"`
}

// ManagementMAC is the MAC address of an adapter that accelerated networking
// leaves to the node.
type ManagementMAC struct {
	MacAddress string
}
