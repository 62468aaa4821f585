// SPDX-License-Identifier: Apache-2.0

// Package hnstest is the contract suite of hns.Client: what Bulkhead relies on,
// run against any implementation. It makes networks, endpoints and namespaces
// whose names begin with Prefix and removes them again, and touches nothing
// else.
//
// What is not known about real HNS is a case too: it states the assumption,
// accepts either answer and logs which one it saw ("question 2: ..."; the
// numbers are those of pkg/hnsemu/HNS.md). Run with -v to read them.
//
// On a Windows host, run the test binary of pkg/hcn/hcnwin as an administrator:
//
//	set HNSTEST_NETWORK=disposable
//	hcnwin.test.exe -test.v
//
// HNSTEST_NETWORK names a network on which endpoints may come and go. When there
// is none of that name, the suite makes a nat network of that name and removes
// it at the end. Cases that make networks of their own are left out, since the
// first external network on an adapter cuts the host off for some seconds.
package hnstest
