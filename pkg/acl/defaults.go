// SPDX-License-Identifier: Apache-2.0

package acl

import "github.com/bulkhead-cni/bulkhead/pkg/hns"

// IDPrefix begins the id of every rule of Bulkhead's, to tell it from others'.
const IDPrefix = "bulkhead-"

// Priorities of the default Switch rules. Rules of one priority have no defined
// order in HNS, so no allow shares one with a block.
const (
	protocolPriority = 65000
	tailPriority     = hns.PriorityMax
)

// protocol is an IP protocol with its name in ids and in documents.
type protocol struct {
	number      int
	name, title string
}

// inbound lists what may enter a process-isolated pod (Microsoft, "Network
// isolation and security": TCP, UDP, ICMP, IGMP).
var inbound = []protocol{
	{6, "tcp", "TCP"},
	{17, "udp", "UDP"},
	{1, "icmpv4", "ICMPv4"},
	{58, "icmpv6", "ICMPv6"},
	{2, "igmp", "IGMP"},
}

// Defaults returns the ACLs of a pod for which the user wrote none, the Host
// rules before the Switch rules, always in the same order. It is empty where the
// ACLs cannot be reconfigured. An unknown driver or isolation is an error.
func Defaults(d hns.Driver, i hns.Isolation) ([]hns.ACL, error) {
	if err := known(d, i); err != nil {
		return nil, err
	}
	var out []hns.ACL
	for _, by := range EnforcedBy(d, i) {
		switch {
		case by == hns.Host:
			out = append(out, hostRules()...)
		case i == hns.Process:
			out = append(out, switchRules()...)
		default:
			out = append(out, tail(hns.In, hns.Allow), tail(hns.Out, hns.Allow))
		}
	}
	return out, nil
}

// hostRules says the default with allows alone: in the Windows Firewall a block
// beats every allow, and inbound traffic that nothing matches is dropped anyway.
// Host rules carry no priority since Windows 1803 (Calico, policysets.go,
// NewHostRule).
func hostRules() []hns.ACL {
	out := allowInbound(hns.Host, "in-", 0)
	return append(out, hns.ACL{
		ID:        IDPrefix + "out",
		Direction: hns.Out,
		Action:    hns.Allow,
		RuleType:  hns.Host,
		Protocol:  hns.ProtocolAny,
	})
}

func switchRules() []hns.ACL {
	out := allowInbound(hns.Switch, "switch-in-", protocolPriority)
	return append(out, tail(hns.In, hns.Block), tail(hns.Out, hns.Allow))
}

func allowInbound(by hns.RuleType, id string, priority uint16) []hns.ACL {
	var out []hns.ACL
	for _, p := range inbound {
		out = append(out, hns.ACL{
			ID:        IDPrefix + id + p.name,
			Direction: hns.In,
			Action:    hns.Allow,
			RuleType:  by,
			Protocol:  p.number,
			Priority:  priority,
		})
	}
	return out
}

// tail is the last Switch rule of a direction. VFP drops what no rule matches as
// soon as an endpoint has any rule (microsoft/Windows-Containers#616), and
// whether that holds for one direction or both is not settled: say both.
func tail(d hns.Direction, a hns.Action) hns.ACL {
	id := "switch-in-tail"
	if d == hns.Out {
		id = "switch-out-tail"
	}
	return hns.ACL{
		ID:        IDPrefix + id,
		Direction: d,
		Action:    a,
		RuleType:  hns.Switch,
		Protocol:  hns.ProtocolAny,
		Priority:  tailPriority,
	}
}
