// SPDX-License-Identifier: Apache-2.0

// Package schema reads and writes the JSON documents of HNS, in both schemas,
// and checks what can be checked without a look at the node.
//
// HNS has two encodings of the same objects. The v2 schema is that of the HCN
// functions of computenetwork.dll, described in virtualization/api/hcn of
// https://github.com/MicrosoftDocs/Virtualization-Documentation:
// "HNS_Schema.md" below. The v1 schema is that of vmcompute.dll's HNSCall;
// hcsshim's internal/hns has its types. Either API reads documents of either
// schema: one with a SchemaVersion of 2 is v2, any other is v1. Package schema
// turns both into the same Go values.
//
// Comments name who says so where a fact is not in Microsoft's documentation:
// names such as TestNotFoundError are tests of hcsshim's folder hcn, and
// "owner/repository#1" is a thread on GitHub. "Not documented" marks what the
// emulator decided without a source; HNS.md lists those.
package schema
