// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// An admin's own file has no bound but HNS's: long lists of allows are ordinary.
func TestFinding08FilesHaveNoBound(t *testing.T) {
	t.Parallel()
	var spec Spec
	for i := range 500 {
		r := rule("", hns.In, hns.Allow, tcp)
		r.Ports = []hns.PortRange{{First: uint16(i + 1), Last: uint16(i + 1)}}
		for j := range 29 {
			r.Remote = append(r.Remote, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(j), 0}), 24))
		}
		spec.Rules = append(spec.Rules, r)
	}
	for _, d := range []hns.Driver{hns.NAT, hns.L2Bridge} {
		if _, err := Compile(Target{Driver: d, Isolation: hns.Process}, spec); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
}

// What an annotation asks for beside the file is no less for what it leaves out: allowHost
// alone cuts off the node, and mapped ports that are left to rules are left to its rules.
func TestFinding02AnnotationsOfOneKey(t *testing.T) {
	t.Parallel()
	node, stranger := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("9.9.9.9")
	target := Target{Driver: hns.L2Bridge, Isolation: hns.HyperV, Host: []netip.Addr{node}, Mapped: []Port{{Protocol: tcp, Number: 8080}}}
	closed := Spec{DenyInbound: true}
	byRules := Spec{DenyInbound: true, MappedByRules: true, Rules: []Rule{rule("", hns.In, hns.Allow, tcp)}}
	for _, tt := range []struct {
		name          string
		file, tighter Spec
		from          netip.Addr
		port          uint16
		want          bool
	}{
		{"the node, by the file", closed, Spec{}, node, 22, true},
		{"the node, cut off by the pod", closed, Spec{DenyHost: true}, node, 22, false},
		{"a mapped port, by the file's rule", byRules, Spec{}, stranger, 8080, true},
		{"a mapped port, that no rule of the pod lets in", byRules, Spec{DenyInbound: true}, stranger, 8080, false},
	} {
		set, err := Compile(target, tt.file, tt.tighter)
		if err != nil {
			t.Fatal(err)
		}
		if v := set.Verdict(Packet{Direction: hns.In, Protocol: tcp, Port: tt.port, Remote: tt.from}); v.Allowed != tt.want {
			t.Errorf("%s: %+v", tt.name, v)
		}
	}
}

// A pod may let the node reach less than the file does, never more.
func TestFinding10HostServices(t *testing.T) {
	t.Parallel()
	node := netip.MustParseAddr("10.0.0.1")
	web := Service{Protocols: []int{tcp}, Ports: []hns.PortRange{{First: 80, Last: 90}}}
	narrow := Service{Protocols: []int{tcp}, Ports: []hns.PortRange{{First: 85, Last: 95}}}
	file := Spec{DenyInbound: true, HostTo: []Service{web}}
	for _, tt := range []struct {
		name    string
		tighter []Spec
		port    uint16
		want    bool
	}{
		{"listed", nil, 80, true},
		{"not listed", nil, 22, false},
		{"the pod says nothing of it", []Spec{{}}, 80, true},
		{"the pod lists more", []Spec{{HostTo: []Service{narrow}}}, 95, false},
		{"the pod lists less", []Spec{{HostTo: []Service{narrow}}}, 80, false},
		{"both list it", []Spec{{HostTo: []Service{narrow}}}, 85, true},
		{"the pod lists something else", []Spec{{HostTo: []Service{{Protocols: []int{udp}}}}}, 85, false},
		{"the pod lists something else, and denies", []Spec{{DenyInbound: true, HostTo: []Service{{Protocols: []int{udp}}}}}, 85, false},
	} {
		set, err := Compile(Target{Driver: hns.L2Bridge, Isolation: hns.Process, Host: []netip.Addr{node}}, file, tt.tighter...)
		if err != nil {
			t.Fatal(err)
		}
		if v := set.Verdict(Packet{Direction: hns.In, Protocol: tcp, Port: tt.port, Remote: node}); v.Allowed != tt.want {
			t.Errorf("%s: %+v", tt.name, v)
		}
	}
}

// Two lists of what the node reaches cost no more than two lists of rules.
func TestFinding10CostOfLists(t *testing.T) {
	t.Parallel()
	var equal, apart []Service
	var ports []hns.PortRange
	for i := range 500 {
		equal = append(equal, Service{Protocols: []int{tcp}})
		apart = append(apart, Service{Protocols: []int{tcp}, Ports: []hns.PortRange{{First: uint16(2*i + 1), Last: uint16(2*i + 1)}}})
		ports = append(ports, hns.PortRange{First: uint16(2*i + 1), Last: uint16(2*i + 1)})
	}
	many := []Service{{Protocols: []int{tcp}, Ports: ports}, {Protocols: []int{tcp}, Ports: slices.Concat(ports, ports, ports)}}
	target := Target{Driver: hns.L2Bridge, Isolation: hns.Process, Host: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
	for name, lists := range map[string][2][]Service{"equal": {equal, equal}, "apart": {apart, apart}, "many ports": {apart, many}, "many ports twice": {many, many}} {
		start := time.Now()
		_, err := Compile(target, Spec{DenyInbound: true, HostTo: lists[0]}, Spec{DenyInbound: true, HostTo: lists[1]})
		if err != nil && !errors.Is(err, ErrUnenforceable) {
			t.Errorf("%s: %v", name, err)
		}
		const bound = 10 * time.Second // under a second where nothing else runs
		if took := time.Since(start); took > bound {
			t.Errorf("%s: took %s", name, took)
		}
	}
}
