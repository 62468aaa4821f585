// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"net/netip"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/packet"
)

// Control is everything that a test does to the emulated node and that is no
// native call: look at it, break it, start and stop things on it. Arguments and
// results are plain data, so that another process can be handed the same.
type Control interface {
	Inspector
	Saboteur
	Operator
}

// Inspector looks at the node. None of its calls change or are counted as
// anything.
type Inspector interface {
	// Dump prints every object, sorted, in the format that goldens are written
	// in. What is random is left out or replaced by a symbol.
	Dump() (string, error)
	// State returns the same as data.
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

// Saboteur makes native calls go wrong.
type Saboteur interface {
	// AddFault arms one fault. It fails when the fault is none that could act.
	AddFault(f Fault) error
	// ClearFaults disarms all faults, lets calls that hang go on, and carries
	// out those that come late.
	ClearFaults() error
	// SetLatency delays every call. With serialise, calls that change anything
	// are served one at a time, delay included.
	SetLatency(perCall time.Duration, serialise bool) error
	// SetUnknowns chooses between answers that nobody has seen.
	SetUnknowns(u Unknowns) error
}

// Operator does what the node's administrator and its container runtime do.
type Operator interface {
	// StopService stops HNS. Calls that are under way are cut off, handles die.
	// Stopping it twice is no error.
	StopService() error
	// StartService starts HNS, which then reads back what its release keeps.
	// Starting it twice is no error and changes nothing.
	StartService() error
	// RestartService stops and starts HNS.
	RestartService() error
	// Reboot restarts the node: containers, pods' namespaces, nat networks and
	// networks asked to be non-persistent are gone.
	Reboot() error
	// StartContainer starts a container in a namespace. Its error, if any, is
	// the one that the compute service would report.
	StartContainer(c Container) error
	// StopContainer ends a container. One that does not run is an error.
	StopContainer(id string) error
	// SetNode replaces what surrounds HNS on this node.
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
	// Code is the answer, Err what took its place when none was given.
	Code hns.HRESULT
	Err  string
	// Fault is the fault that acted: "hang before".
	Fault string
	// Reason says what the emulator found fault with; HNS does not tell.
	Reason string
	// Pending is true while the call is under way.
	Pending bool
}

// FaultKind is what a fault does to a call.
type FaultKind string

// Kinds of faults.
const (
	// FaultFail answers the fault's Code.
	FaultFail FaultKind = "fail"
	// FaultHang does not answer until the caller gives up or is gone, the
	// service stops, or the faults are cleared; then the call goes on.
	FaultHang FaultKind = "hang"
	// FaultCut fails with ErrCut.
	FaultCut FaultKind = "cut"
)

// Fault makes one native call go wrong.
type Fault struct {
	// Proc is the function, empty for any.
	Proc string
	// Nth is the call that goes wrong, counted from 1 among the matching calls
	// since the fault was added.
	Nth  int
	Kind FaultKind
	// After carries the call out first: only its answer is lost.
	After bool
	// Code is the answer of a FaultFail; it must be a failure.
	Code hns.HRESULT
	// Client is the caller, empty for any.
	Client string
	// Every makes all matching calls from the Nth on go wrong.
	Every bool
	// Late, with a hang before, is an HNS that goes on without its caller: when
	// that gives up or is gone, the call is carried out all the same at the next
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
	// namespace and blocks the namespace's deletion (Windows-Containers#485).
	Leaks bool
}

// Node is what HNS finds on the machine that it runs on.
type Node struct {
	Adapters []Adapter
	// BoundPorts are ports of the node that a process listens on.
	BoundPorts []BoundPort
}

// Adapter is a physical network adapter.
type Adapter struct {
	// Name is the friendly name.
	Name string
	// Aliases are other names of the adapter: under Wine a program sees the adapters
	// of the machine below, not the emulated node's.
	Aliases []string
	// Address is the node's address on this adapter, and the prefix around it.
	Address netip.Prefix
	// Index is the interface index, which an InterfaceConstraint may use.
	Index uint32
	// Unusable is true for what cannot carry a virtual switch: Wi-Fi, VPN, teams.
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
