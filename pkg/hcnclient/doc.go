// SPDX-License-Identifier: Apache-2.0

// Package hcnclient is the hns.Client on the HNS of this machine. It is the only
// importer of hcsshim in the product and decides nothing: package hcndoc makes the
// documents, package hcnhandle says in which calls what each pod needs is carried,
// hcsshim carries the rest, and what comes back is given the whole HRESULT that
// hcsshim shortens.
package hcnclient
