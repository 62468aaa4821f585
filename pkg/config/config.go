// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Attachment is one interface of one container.
type Attachment struct {
	ContainerID, IfName string
}

// Env is what a runtime says in environment variables (CNI specification,
// "Parameters"). What a verb has no use for may be empty.
type Env struct {
	// ContainerID is CNI_CONTAINERID, IfName CNI_IFNAME, NetNS CNI_NETNS and Args
	// CNI_ARGS.
	ContainerID, IfName, NetNS, Args string
}

// Config is a validated network configuration of the native dialect, with the
// runtime's arguments merged in. Only Parse and ParseLenient make one.
type Config struct {
	// Attachment is the interface that the verb is about; empty for STATUS and GC.
	Attachment
	// NetNS is CNI_NETNS as it came in: the GUID of a namespace; "none" or empty
	// for one that Bulkhead makes; "container:<id>" for that of a sandbox.
	NetNS      string
	CNIVersion string
	// Name is the name of the HNS network.
	Name string
	// Type is the plugin type the configuration asks for.
	Type string
	// Driver is empty when the configuration leaves it to the network.
	Driver    hns.Driver
	Isolation hns.Isolation
	// Network is what the network must be when Bulkhead owns it, nil when it
	// must exist already.
	Network *Network
	IPAM    IPAM
	// IPAMError is why the ipam section does not tell who has the pod's addresses:
	// nil but after ParseLenient.
	IPAMError error
	ACL       ACL
	// OutboundNAT is nil when no outbound NAT is asked for.
	OutboundNAT *OutboundNAT
	// LoopbackDSR is nil to have it where driver and HNS do.
	LoopbackDSR *bool
	Routes      []hns.SDNRoute
	Policies    []hns.Opaque
	DNS         hns.DNS
	Gateways    Gateways
	// MACPrefix begins the MAC address, whose rest is the pod's IPv4 address: "0e:2a".
	// Empty leaves it to HNS.
	MACPrefix string
	// EncapOverhead is what encapsulation on the way takes of a packet, in bytes; 0
	// is HNS's choice.
	EncapOverhead uint16
	// HostPorts are the ports of the node that pods may ask for; nil is any.
	HostPorts []hns.PortRange
	// PortMappings come from runtimeConfig.
	PortMappings []PortMapping
	// EgressRate comes from runtimeConfig, in bytes a second; 0 is no limit.
	EgressRate uint64
	// Requested are the addresses that the runtime asks for, each once, by whichever
	// way. static's are in IPAM.
	Requested []RequestedAddr
	// MAC is the runtime's wish, empty for none.
	MAC      hns.MAC
	Timeouts Timeouts
	Journal  Journal
	Pod      Pod
	// Replaces is true for the file of another plugin: endpoints on the node can be that
	// plugin's, which named them for the container alone.
	Replaces bool
	// Annotations are the pod's, from runtimeConfig; nil without the capability.
	Annotations map[string]string
	// Raw is the configuration as it came in, for an IPAM plugin that is executed.
	Raw []byte

	args cniArgs
	// origins is nil but for files of other plugins.
	origins origins
	// nameservers are those of the file, whatever the runtime puts in their place.
	nameservers                  []string
	prevResult, validAttachments json.RawMessage
	// declared are the capabilities.
	declared json.RawMessage
}

// Declares reports whether the configuration declares a capability, without which a
// runtime sends nothing of it.
func (c Config) Declares(capability string) bool {
	return document{"capabilities": c.declared}.capable(capability)
}

// TakesExisting reports whether a network of the name is used as it is, of whatever type.
func (c Config) TakesExisting() bool { return c.Network != nil && c.Network.TakeExisting }

// Network is the network section: a network that Bulkhead makes when missing.
type Network struct {
	Subnets         []hns.Subnet
	Adapter         string
	ProviderAddress netip.Addr
	VXLANPort       uint16
	MACPool         []hns.MACRange
	NonPersistent   bool
	// GatewayEndpoint gives the node an endpoint of its own, by which pods leave
	// their subnet.
	GatewayEndpoint bool
	// TakeExisting uses a network of that name as it is. The rest is for making one.
	TakeExisting  bool
	HostRoute     bool
	RemoteSubnets []hns.RemoteSubnet
}

// ACL is the acl section.
type ACL struct {
	// Program is false when another agent owns the ACLs.
	Program bool
	// OpenMapped lets in what a port of the node leads to, although Program is false:
	// where policies hold ACLs, which drop what they do not name.
	OpenMapped bool
	// Asked is the JSON path of the first key that asks for ACLs, and so for a
	// network on which they can be reconfigured; empty when none does.
	Asked string
	// Spec is what the section says, Tighter what the pod's annotation adds to
	// it: a packet passes where all of them let it.
	Spec    acl.Spec
	Tighter []acl.Spec
	// SpoofGuard lets the pod send from its own addresses only.
	SpoofGuard bool
}

// OutboundNAT is the outboundNAT section.
type OutboundNAT struct {
	Exceptions []netip.Prefix
	// ExceptNetwork excepts the network's own subnets, too, and nothing that is not
	// named.
	ExceptNetwork bool
}

// PortMapping is a port of the node that leads to a port of the pod.
type PortMapping struct {
	// Protocol is an IP protocol number: 6 or 17.
	Protocol      int
	HostPort      uint16
	ContainerPort uint16
	// HostIP is zero for every address of the node. 0.0.0.0 is for every IPv4
	// address and :: for every IPv6 address.
	HostIP netip.Addr
}

// Timeouts bound the verbs and each native call.
type Timeouts struct {
	Add, Del, Status, Call time.Duration
}

// Pod is who the attachment is for, as CNI_ARGS says; empty where it does not.
type Pod struct {
	Namespace, Name, UID string
}
