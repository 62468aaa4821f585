// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"net/netip"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/packet"
)

// Control is everything that a test does with the emulated node beside native
// calls. Arguments and results are plain data, so package wire can carry them.
type Control interface {
	Inspector
	FaultInjector
	Operator
}

// Inspector reads the node. Its calls change nothing and are not in the log.
type Inspector interface {
	// Dump returns every object as text, sorted, for golden files. What is
	// random is left out or replaced by a number.
	Dump() (string, error)
	// State returns the node as data.
	State() (State, error)
	// Calls returns the native calls since the log was last reset, oldest
	// first. Only the latest are kept: 8192 at least.
	Calls() ([]LoggedCall, error)
	// Counts returns how many native calls each function has had.
	Counts() (map[string]int, error)
	// ResetLog empties Calls and Counts.
	ResetLog() error
	// Evaluate says what would become of a packet. It fails when there is no
	// such endpoint on this node.
	Evaluate(p Packet) (Verdict, error)
}

// FaultInjector makes native calls fail.
type FaultInjector interface {
	// AddFault adds a fault. It fails when the fault could never occur.
	AddFault(f Fault) error
	// ClearFaults removes all faults, lets calls that hang go on, and carries out
	// those that come late.
	ClearFaults() error
	// SetLatency delays every call. With serialise, calls that change anything
	// are served one at a time, delay included.
	SetLatency(perCall time.Duration, serialise bool) error
	// SetUnknowns chooses between answers where the real one is not known.
	SetUnknowns(u Unknowns) error
}

// Operator does what the node's administrator and its container runtime do.
type Operator interface {
	// StopService stops HNS. Calls that are under way are cut off, and handles
	// are dead. Stopping it twice is no error.
	StopService() error
	// StartService starts HNS, which still has what its release keeps. Starting
	// it twice is no error and changes nothing.
	StartService() error
	// RestartService stops and starts HNS.
	RestartService() error
	// Reboot restarts the node: containers, namespaces, nat networks and
	// non-persistent networks are gone.
	Reboot() error
	// StartContainer starts a container in a namespace. The error is the one that
	// the Host Compute Service would report.
	StartContainer(c Container) error
	// StopContainer ends a container. One that does not run is an error.
	StopContainer(id string) error
	// SetNode replaces the machine that HNS runs on.
	SetNode(n Node) error
}

var _ Control = (*Host)(nil)

// LoggedCall is one native call.
type LoggedCall struct {
	// Seq counts the calls of a Host, from 1, also across ResetLog.
	Seq    int
	Client string
	Proc   string
	Args   []string
	// Code is the answer. Err is the error of a call that got none.
	Code hns.HRESULT
	Err  string
	// Fault is the fault that occurred: "hang before".
	Fault string
	// Reason says why the emulator refused the call.
	Reason string
	// Pending is true while the call is under way.
	Pending bool
}

// FaultKind says what a fault does to a call.
type FaultKind string

// Kinds of faults.
const (
	// FaultFail answers the fault's Code.
	FaultFail FaultKind = "fail"
	// FaultHang does not answer until the caller gives up or is gone, the service
	// stops, or the faults are cleared, which lets the call go on.
	FaultHang FaultKind = "hang"
	// FaultCut fails with ErrCut.
	FaultCut FaultKind = "cut"
)

// Fault makes native calls fail.
type Fault struct {
	// Proc is the function, empty for any.
	Proc string
	// Nth is the call that fails, counted from 1 among the matching calls since
	// the fault was added.
	Nth  int
	Kind FaultKind
	// After carries the call out first, so only its answer is lost.
	After bool
	// Code is the answer of a FaultFail; it must be a failure.
	Code hns.HRESULT
	// Client is the caller, empty for any.
	Client string
	// Every makes all matching calls from the Nth on fail.
	Every bool
	// Late, with a hang before, carries the call out without its caller: when
	// that gives up or is gone, the call is carried out at the next
	// ClearFaults, unless the service has ended by then.
	Late bool
}

// Container is a running container, or the sandbox of a pod.
type Container struct {
	ID          string
	NamespaceID string
	// Isolation is Process when empty.
	Isolation hns.Isolation
	// Leaks makes HNS miss the end of the container: its id stays in the
	// namespace and blocks the namespace's deletion
	// (microsoft/Windows-Containers#485).
	Leaks bool
}

// Node is the machine that HNS runs on.
type Node struct {
	Adapters []Adapter
	// BoundPorts are ports of the node that a process listens on.
	BoundPorts []BoundPort
}

// Adapter is a physical network adapter.
type Adapter struct {
	// Name is the friendly name.
	Name string
	// Aliases are other names of the adapter. Under Wine a program sees the
	// adapters of the Linux machine and not the emulated node's.
	Aliases []string
	// Address is the node's address on this adapter, and the prefix around it.
	Address netip.Prefix
	// Index is the interface index, which an InterfaceConstraint may use.
	Index uint32
	// Unusable is true for an adapter that cannot carry a virtual switch:
	// Wi-Fi, VPN, a member of a team.
	Unusable bool
}

// BoundPort is a port that a process of the node listens on.
type BoundPort struct {
	Protocol int
	Port     uint16
}

// Packet is the first packet of a flow, seen from the endpoint.
type Packet = packet.Packet

// Verdict is what becomes of a packet.
type Verdict = packet.Verdict
