// SPDX-License-Identifier: Apache-2.0

// Package hnsemu emulates Windows' Host Networking Service at the level where
// real clients touch it: the exported functions of computenetwork.dll and
// vmcompute.dll, with their JSON documents, HRESULTs and texts. It follows what
// HNS is known to do, never what a test would like it to do, and it never
// touches the network of the machine it runs on.
//
// # What it consists of
//
// A Host is one Windows node. Host.Call carries out a native call for one of
// the processes of that node; the methods of Control do everything else that
// happens to a node: containers start and end, the service stops, the node
// reboots, calls go wrong on demand, and somebody looks at the state.
//
// There is one model of networks, endpoints, namespaces, load balancers and
// routes, and two encodings of it, v1 and v2. Either API reads documents of
// either schema; a document with a SchemaVersion of 2 is v2, any other is v1.
// The settings of policies are kept as the client wrote them and given back
// like that in the schema that they came in.
//
// # What it rests on
//
// Nobody ran a call against real HNS for this package. Each fact that is not
// obvious names where it comes from: "hns.md" is the project's collection of
// what is documented, reported, or relied on by published code; names such as
// TestNotFoundError are tests of hcsshim's folder hcn; "owner/repository#1" is
// a thread on GitHub. Where nothing is known, Unknowns chooses between the
// answers, and code for Windows has to work with either.
//
// Where reports leave room, the emulator is the stricter one. It answers with
// the likelier code, and the reason is in the log only: HNS gives none.
//
// # What it leaves out
//
// Packets: Evaluate says what would become of one, hnsemu/dataplane makes them
// real. Notifications, guest network services, DHCP, mirroring, health,
// activity ids and whatever else no known client reads. Access rights: every
// caller is an administrator.
package hnsemu
