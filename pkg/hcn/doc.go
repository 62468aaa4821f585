// SPDX-License-Identifier: Apache-2.0

// Package hcn is the hns.Client that speaks to Windows' Host Compute Network API,
// and the JSON documents it sends and reads. The documents are those of schema 2;
// of the older schema 1 it reads what that alone can tell. The calls go through a
// Native: package hcnwin has the one of Windows, package emuclient that of the
// emulator. So all that Windows is sent can be read and tested anywhere.
//
// No policy is dropped: one that package hns has no type for stays an hns.Opaque.
//
// The schema is Microsoft's "HNS JSON Schema" (HNS_Schema.md); member names and
// their order are those of hcsshim's package hcn.
package hcn
