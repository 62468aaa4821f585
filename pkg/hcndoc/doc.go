// SPDX-License-Identifier: Apache-2.0

// Package hcndoc translates between the values of package hns and the JSON
// documents of Windows' Host Compute Network API, schema version 2, reads the
// answers of the older schema 1 to what that alone can tell, and holds the one
// hns.Client that speaks them, over any Service that carries documents to HNS. It
// makes no native call itself, so what Windows is sent can be read and tested
// anywhere. It never drops a policy: one it has no word for stays an hns.Opaque.
//
// The schema is Microsoft's "HNS JSON Schema" (HNS_Schema.md); member names and
// their order are those of hcsshim's package hcn.
package hcndoc
