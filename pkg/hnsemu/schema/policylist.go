// SPDX-License-Identifier: Apache-2.0

package schema

import "encoding/json"

// LoadBalancerPort is one port of a load balancer.
type LoadBalancerPort struct {
	Protocol         uint32 `json:",omitempty"`
	InternalPort     uint16 `json:",omitempty"`
	ExternalPort     uint16 `json:",omitempty"`
	DistributionType uint32 `json:",omitempty"`
	Flags            uint32 `json:",omitempty"`
}

// LoadBalancer is a load balancer in the v2 schema.
type LoadBalancer struct {
	ID                   string             `json:",omitempty"`
	HostComputeEndpoints []string           `json:",omitempty"`
	SourceVIP            string             `json:",omitempty"`
	FrontendVIPs         []string           `json:",omitempty"`
	PortMappings         []LoadBalancerPort `json:",omitempty"`
	Flags                uint32             `json:",omitempty"`
	SchemaVersion        Version
}

// ELBPolicy is an ELB policy of the v1 schema.
type ELBPolicy struct {
	Type         string
	SourceVIP    string   `json:",omitempty"`
	VIPs         []string `json:",omitempty"`
	ILB          bool     `json:",omitempty"`
	IsDSR        bool     `json:",omitempty"`
	Protocol     uint32   `json:",omitempty"`
	InternalPort uint16
	ExternalPort uint16
}

// Bits of the Flags of load balancers and of their ports (hcsshim,
// hcn/hcnloadbalancer.go).
const (
	FlagDSR  = 1 // direct server return, of a load balancer
	FlagIPv6 = 2 // of a load balancer
	FlagILB  = 1 // internal load balancing, of a port
)

// LoadBalancer returns the policy as a v2 document.
func (d ELBPolicy) LoadBalancer(references []string) LoadBalancer {
	doc := LoadBalancer{HostComputeEndpoints: references, SourceVIP: d.SourceVIP, FrontendVIPs: d.VIPs}
	port := LoadBalancerPort{Protocol: d.Protocol, InternalPort: d.InternalPort, ExternalPort: d.ExternalPort}
	if d.ILB {
		port.Flags = FlagILB
	}
	if d.IsDSR {
		doc.Flags = FlagDSR
	}
	doc.PortMappings = []LoadBalancerPort{port}
	return doc
}

// SDNRouteSetting is a destination of an SDN route.
type SDNRouteSetting struct {
	DestinationPrefix string `json:",omitempty"`
	NextHop           string `json:",omitempty"`
	NeedEncap         bool   `json:",omitempty"`
}

// SDNRoute is an SDN route in the v2 schema. HNS_Schema.md calls the list Routes
// and hcsshim's hcn/hcnroute.go Setting: the emulator reads and writes both.
type SDNRoute struct {
	ID                   string            `json:",omitempty"`
	HostComputeEndpoints []string          `json:",omitempty"`
	Setting              []SDNRouteSetting `json:",omitempty"`
	Routes               []SDNRouteSetting `json:",omitempty"`
	SchemaVersion        Version
}

// RoutePolicy is a ROUTE policy of the v1 schema.
type RoutePolicy struct {
	Type string
	SDNRouteSetting
}

// PolicyList is a load balancer or an SDN route in the v1 schema.
type PolicyList struct {
	ID         string
	References []string
	Policies   []json.RawMessage
}
