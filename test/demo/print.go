// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// endpointStates are the names of hcsshim's EndpointState.
var endpointStates = map[uint16]string{1: "created", 2: "attached", 3: "attached, shared", 4: "detached", 5: "degraded"}

// table prints rows in columns.
func table(title string, rows [][]string) error {
	fmt.Printf("\n%s\n", title)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(w, "  "+strings.Join(r, "\t"))
	}
	return w.Flush()
}

// printPods shows each pod's compartment and endpoint as HNS has them.
func (n *node) printPods() error {
	s, err := n.host.State()
	if err != nil {
		return err
	}
	rows := [][]string{{"POD", "COMPARTMENT", "ENDPOINT", "ADDRESS", "GATEWAY", "MAC", "STATE"}}
	for _, p := range n.pods {
		e, err := endpointOf(s, p)
		if err != nil {
			return err
		}
		rows = append(rows, []string{
			p.name, compartmentOf(s, p), abbreviated(e.Name), joined(e.Addresses), gatewayOf(e), e.MAC, endpointStates[e.State],
		})
	}
	if err := table(fmt.Sprintf("Compartments and endpoints (Windows Server %s, HNS %s)", s.Profile, s.Version), rows); err != nil {
		return err
	}
	return n.printNetworks(s)
}

func (n *node) printNetworks(s hnsemu.State) error {
	rows := [][]string{{"NETWORK", "TYPE", "SUBNETS", "ADAPTER"}}
	for _, net := range s.Networks {
		var subnets []string
		for _, sub := range net.Subnets {
			subnets = append(subnets, fmt.Sprintf("%s via %s", sub.Prefix, sub.Gateway))
		}
		rows = append(rows, []string{net.Name, net.Type, strings.Join(subnets, ", "), net.Adapter})
	}
	return table("Networks", rows)
}

func endpointOf(s hnsemu.State, p *pod) (hnsemu.EndpointState, error) {
	for _, e := range s.Endpoints {
		if strings.HasPrefix(e.Name, p.id+"_") {
			return e, nil
		}
	}
	return hnsemu.EndpointState{}, fmt.Errorf("pod %s has no endpoint", p.name)
}

func compartmentOf(s hnsemu.State, p *pod) string {
	for _, ns := range s.Namespaces {
		if strings.EqualFold(ns.ID, p.netns) {
			return fmt.Sprint(ns.Compartment)
		}
	}
	return "none"
}

func gatewayOf(e hnsemu.EndpointState) string {
	for _, r := range e.Routes {
		if strings.HasSuffix(r.Destination, "/0") {
			return r.NextHop
		}
	}
	return "-"
}

func joined(prefixes []netip.Prefix) string {
	var out []string
	for _, p := range prefixes {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

// abbreviated shortens the container id in an endpoint's name.
func abbreviated(name string) string {
	if len(name) > 64 {
		return name[:8] + "..." + name[64:]
	}
	return name
}

// printACLs shows the rules that HNS holds; both pods have the same.
func (n *node) printACLs() error {
	s, err := n.host.State()
	if err != nil {
		return err
	}
	e, err := endpointOf(s, n.pods[0])
	if err != nil {
		return err
	}
	rows := [][]string{{"ENFORCED BY", "DIRECTION", "ACTION", "PROTOCOL", "PRIORITY", "RULE"}}
	for _, p := range e.Policies {
		if p.Type != "ACL" {
			continue
		}
		var rule struct {
			ID                          string `json:"Id"`
			RuleType, Direction, Action string
			Protocols                   string
			Priority                    int
		}
		if err := json.Unmarshal(p.Settings, &rule); err != nil {
			return err
		}
		by := map[string]string{"Host": "Windows Firewall", "Switch": "VFP"}[rule.RuleType]
		rows = append(rows, []string{by, rule.Direction, rule.Action, protocolName(rule.Protocols), priority(rule.Priority), rule.ID})
	}
	if len(rows) == 1 {
		fmt.Printf("\nACLs of each pod: none; %s with Hyper-V isolation cannot be reconfigured\n", n.driver)
		return nil
	}
	return table("ACLs of each pod", rows)
}

func protocolName(numbers string) string {
	names := map[string]string{"": "any", "1": "ICMP", "2": "IGMP", "6": "TCP", "17": "UDP", "58": "ICMPv6"}
	if name, ok := names[numbers]; ok {
		return name
	}
	return numbers
}

func priority(p int) string {
	if p == 0 {
		return "-"
	}
	return fmt.Sprint(p)
}

// packet is a packet that the demo asks about.
type packet struct {
	what      string
	direction hns.Direction
	protocol  int
	port      uint16
}

var packets = []packet{
	{"TCP to port 80 of the pod", hns.In, 6, 80},
	{"UDP to port 53 of the pod", hns.In, 17, 53},
	{"ping to the pod", hns.In, 1, 0},
	{"IGMP to the pod", hns.In, 2, 0},
	{"GRE to the pod", hns.In, 47, 0},
	{"SCTP to the pod", hns.In, 132, 0},
	{"TCP from the pod to port 443", hns.Out, 6, 443},
	{"GRE from the pod", hns.Out, 47, 0},
}

// printPackets asks the emulated HNS what becomes of packets of the first pod.
func (n *node) printPackets() error {
	s, err := n.host.State()
	if err != nil {
		return err
	}
	e, err := endpointOf(s, n.pods[0])
	if err != nil {
		return err
	}
	rows := [][]string{{"PACKET", "VERDICT", "RULE", "WHY"}}
	for _, p := range packets {
		q := hnsemu.Packet{EndpointID: e.ID, Direction: p.direction, Protocol: p.protocol, Remote: netip.MustParseAddr("203.0.113.7")}
		if p.direction == hns.In {
			q.LocalPort = p.port
		} else {
			q.RemotePort = p.port
		}
		v, err := n.host.Evaluate(q)
		if err != nil {
			return err
		}
		verdict := "dropped"
		if v.Allowed {
			verdict = "passes"
		}
		rows = append(rows, []string{p.what, verdict, v.Rule, v.Why})
	}
	return table("Packets of pod "+n.pods[0].name, rows)
}
