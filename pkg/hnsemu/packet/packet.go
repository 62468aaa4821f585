// SPDX-License-Identifier: Apache-2.0

// Package packet says what Windows does with a packet of an endpoint: which
// enforcement points it passes and whether their rules let it through. It reads
// an Endpoint, which holds all that the verdict depends on, and no state of the
// emulator.
//
// Windows has two enforcement points: the Windows Firewall in the container's
// compartment, and the Virtual Filtering Platform (VFP) at the endpoint's
// switch port. Which of them filters depends on the network's driver and the
// container's isolation (Microsoft, "Network isolation and security",
// virtualization/windowscontainers/container-networking/network-isolation-security.md
// of https://github.com/MicrosoftDocs/Virtualization-Documentation). A packet
// must pass both where there are both. Both are stateful, so replies are not
// evaluated.
package packet

import (
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// Packet is the first packet of a flow, seen from the endpoint.
type Packet struct {
	// EndpointID says which endpoint the packet comes from or goes to. Evaluate
	// does not read it: it gets the endpoint.
	EndpointID string
	Direction  hns.Direction
	// Protocol is an IP protocol number.
	Protocol int
	// Remote is the peer's address.
	Remote netip.Addr
	// Local is the address on the endpoint's side; zero is the endpoint's own of the
	// peer's family.
	Local netip.Addr
	// LocalPort and RemotePort are the endpoint's and the peer's ports, 0 for a
	// protocol without ports.
	LocalPort, RemotePort uint16
	// Isolation is the container's. When it is empty, the endpoint's counts, and
	// Process when that is empty, too.
	Isolation hns.Isolation
}

// Verdict is what becomes of a packet.
type Verdict struct {
	Allowed bool
	// At is the enforcement point whose rules decided, empty for a default.
	At hns.RuleType
	// Rule is the Id of the ACL that decided, or says which default did.
	Rule string
	// Why explains the verdict in one sentence.
	Why string
}

// Endpoint is what the verdict on a packet of an endpoint depends on.
type Endpoint struct {
	Driver hns.Driver
	// Remote is true for an endpoint on another node.
	Remote bool
	// Isolation is that of the containers that use the endpoint, empty for none.
	Isolation hns.Isolation
	Addresses []netip.Prefix
	// ACLs are those of the network, then those of the endpoint.
	ACLs  []schema.ACL
	Tiers []schema.TierACL
	// Sets are the addresses of the network's sets by id.
	Sets map[string][]netip.Prefix

	// NATBySwitch makes VFP filter on a nat network, and not the firewall
	// (microsoft/Windows-Containers#617).
	NATBySwitch bool
	// DenyPerDirection makes an ACL drop what no rule matches in its own
	// direction only, and not in both.
	DenyPerDirection bool
	// SCTPWithoutPorts makes rules with ports match no SCTP.
	SCTPWithoutPorts bool
}

// Evaluate returns the verdict on a packet of e. It fails when e is remote or the
// packet is no valid packet.
func Evaluate(e Endpoint, p Packet) (Verdict, error) {
	if err := p.complete(e); err != nil {
		return Verdict{}, err
	}
	verdict := Verdict{Allowed: true, Rule: "default allow", Why: "no enforcement point can be configured for hyperv isolation on this driver"}
	for i, point := range e.Points(p.Isolation) {
		v := point.judge(e, p)
		if !v.Allowed && p.Direction == hns.Out {
			return v, nil
		}
		// The switch is the last point, and sees what comes in first.
		if !v.Allowed || verdict.Allowed && (i == 0 || v.At != "") {
			verdict = v
		}
	}
	return verdict, nil
}

// complete checks a packet and fills in the isolation.
func (p *Packet) complete(e Endpoint) error {
	switch {
	case e.Remote:
		return schema.Errorf(schema.CodeNotLocal, "the endpoint is remote")
	case p.Direction != hns.In && p.Direction != hns.Out:
		return schema.Errorf(schema.CodeInvalidParameter, "direction %q is not In or Out", p.Direction)
	case p.Protocol < 0 || p.Protocol > 255:
		return schema.Errorf(schema.CodeInvalidParameter, "protocol %d is not in 0-255", p.Protocol)
	case !p.Remote.IsValid():
		return schema.Errorf(schema.CodeInvalidParameter, "the packet has no remote address")
	}
	p.Remote = p.Remote.Unmap()
	if p.Isolation == "" {
		p.Isolation = e.Isolation
	}
	if p.Isolation == "" {
		p.Isolation = hns.Process
	}
	if p.Isolation != hns.Process && p.Isolation != hns.HyperV {
		return schema.Errorf(schema.CodeInvalidParameter, "isolation %q is not process or hyperv", p.Isolation)
	}
	return nil
}
