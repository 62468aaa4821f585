// SPDX-License-Identifier: Apache-2.0

// Package dataplane carries out on Linux what the emulated HNS of a node was told, so
// that real packets prove it. An HCN namespace is a network namespace, an endpoint a veth
// pair, a network a bridge whose address is the network's gateway, and ACLs are nftables
// rules in the pod's namespace: those of the Windows Firewall (Host) and those of VFP
// (Switch) in chains of their own, each counting what it drops.
//
// Unknowns has what is not known of Windows.
//
// A packet passes VFP at prerouting and the firewall at input on its way in, and the
// firewall and then VFP at output on its way out. Both are stateful: packets of a known
// connection are not judged. Neighbour and listener discovery is never judged, since IPv6
// needs it and HNS has no rule for it.
//
// Plane.Apply compares the state of an HNS with what is there, and changes what differs.
// It reads the state only. Everything that it makes is in the network namespace of one
// node and carries a name and an alias by which a later Plane finds and removes it, but for
// BPF programs, which end with the process.
//
// The node translates addresses: port mappings, OutBoundNAT with its exceptions, all that
// leaves a nat network, and load balancers, whose backends see the source VIP. Those with
// direct server return are carried out at the pod's port already, and their backends see
// the pod; what leads back to the pod itself then needs an OutBoundNAT policy with the
// pod's address as Destinations. Traffic between two pods of one switch is not translated
// by OutBoundNAT.
//
// A QOS policy is a token bucket on what the pod sends.
//
// An overlay network with a VSID has a VXLAN device beside its switch, with the MAC of the
// distributed router; remote subnets are routes by it. Remote endpoints are reached by the
// subnet that they are in, or by the node that they name. Networks of all other drivers
// are routed by the node: who wants pods of two nodes to meet, other than in a VLAN, makes
// the ways between them (Plane.Addresses).
//
// SDN routes lead to next hops in the pod's subnets; what others are about the node routes.
//
// Each VLAN of a network is a switch of its own, so that pods of two meet by their gateways
// only. That of a transparent or an l2bridge network has a trunk to the node's adapter, the
// device with the network's ManagementIP: frames have the VLAN's tag there, and pods of two
// nodes meet on layer 2. It takes Linux 6.6 with BPF. The gateway is each node's own and not
// on the trunk. Frames of an l2bridge network keep the pod's MAC, which Windows replaces by
// the host's. Two networks of a node in one VLAN do not meet on it. Where networks of two
// VLANs have the same subnet, the node reaches the pods of one.
package dataplane
