// SPDX-License-Identifier: Apache-2.0

// Package hnsemu emulates the Host Networking Service of Windows (HNS) at the
// level where clients call it: the exported functions of computenetwork.dll and
// vmcompute.dll, with their JSON documents, HRESULTs and texts. It does what HNS
// is known to do, and it never touches the network of the machine it runs on.
//
// # Parts
//
// A Host is one Windows node. Host.Call carries out a native call of one of the
// node's processes. The methods of Control do everything else that happens to a
// node: containers start and stop, the service restarts, the node reboots,
// calls fail on demand. State returns the node's state as data, and Dump as
// text.
//
// There is one model of networks, endpoints, namespaces, load balancers and SDN
// routes. Package schema has the documents of both schemas, v1 and v2, and the
// checks that do not depend on the model. Package packet says what becomes of a
// packet; it reads the State and not the model. Package wire serves a Host to
// other processes, and package emuclient is an hns.Client on it.
//
// The settings of policies are kept as the client wrote them.
//
// # Sources
//
// No call was made to a real HNS for this package. HNS.md lists what the
// emulator takes to be true, and on whose word. Comments name the source where
// a fact is not in Microsoft's documentation: names such as TestNotFoundError
// are tests of hcsshim's folder hcn, and "owner/repository#1" is a thread on
// GitHub. Where the answer of HNS is not known, Unknowns chooses between the
// answers, and code for Windows has to work with both.
//
// Where sources leave room, the emulator is strict. Why it refuses a call is in
// the log of calls only: HNS answers a code and no reason.
//
// # Left out
//
// The emulator sends no packets. It has no notifications, guest network services,
// DHCP, mirroring, health and activity ids, since no known client reads them. It
// does not check access rights.
package hnsemu
