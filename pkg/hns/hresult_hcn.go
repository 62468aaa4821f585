// SPDX-License-Identifier: Apache-2.0

package hns

// hcnMeanings are HNS's own codes, of the facility 0x3b. Names and texts are
// Microsoft's ("HCN Error Codes", HCNHResult.md).
var hcnMeanings = []Meaning{
	{
		0x803b0001, "HCN_E_NETWORK_NOT_FOUND", "The network was not found", ErrNotFound,
		"another tool deleted the network, or it did not outlive a restart of the node or of HNS",
		"recreate the network; if it vanishes again (Get-HnsNetwork), check that no other tool deletes HNS networks",
	},
	{
		0x803b0002, "HCN_E_ENDPOINT_NOT_FOUND", "The endpoint was not found", ErrNotFound,
		"the endpoint was deleted before, or lost when HNS was restarted",
		"restart the pod; if it recurs, check that no other tool deletes HNS endpoints (Get-HnsEndpoint)",
	},
	{
		0x803b0003, "HCN_E_LAYER_NOT_FOUND", "The network's underlying layer was not found", ErrNotFound,
		"the virtual switch under the network was removed",
		"drain the node and recreate the network (Get-HnsNetwork, Get-VMSwitch)",
	},
	{
		0x803b0004, "HCN_E_SWITCH_NOT_FOUND", "The virtual switch was not found", ErrNotFound,
		"the Hyper-V switch was removed or renamed",
		"see which switches there are (Get-VMSwitch), then drain the node and recreate the network",
	},
	{
		0x803b0005, "HCN_E_SUBNET_NOT_FOUND", "The network does not have a subnet for this endpoint", ErrInvalid,
		"the pod's address lies outside the network's subnets, or is an IPv6 address on a network that has IPv4 alone",
		"compare the IPAM range with the network's subnets (Get-HnsNetwork) and make them agree",
	},
	{
		0x803b0006, "HCN_E_ADAPTER_NOT_FOUND", "An adapter was not found", ErrInvalid,
		"the adapter's name is wrong, another HNS network has the adapter, or it is a Wi-Fi, VPN or team adapter that HNS cannot use",
		"name an adapter that is there and free in the network configuration (Get-NetAdapter, Get-HnsNetwork)",
	},
	{
		0x803b0007, "HCN_E_PORT_NOT_FOUND", "The switch-port was not found", ErrNotFound,
		"the endpoint was created and not attached, or its virtual switch was rebuilt",
		"restart the pod so that it gets a new endpoint",
	},
	{
		0x803b0008, "HCN_E_POLICY_NOT_FOUND", "An expected policy was not found", ErrNotFound,
		"a policy was to be removed that is not there",
		"ignore it if the pod is being deleted, else restart the pod",
	},
	{
		0x803b0009, "HCN_E_VFP_PORTSETTING_NOT_FOUND", "A required VFP port setting was not found", nil,
		"the VFP extension is not enabled on the virtual switch",
		"check that VFP runs (Get-Service vfpext), then drain the node and recreate the network",
	},
	{
		0x803b000a, "HCN_E_INVALID_NETWORK", "The provided network configuration is invalid or missing parameters", ErrInvalid,
		"a subnet, a gateway or an overlay's VSID is missing, or the gateway lies outside its subnet",
		"correct the subnets, gateways and VSIDs in the network configuration",
	},
	{
		0x803b000b, "HCN_E_INVALID_NETWORK_TYPE", "Invalid network type", ErrInvalid,
		"the driver's name is misspelt, or a network of that name has another type",
		"use one of nat, transparent, l2bridge, l2tunnel and overlay, and the type of the network that has the name already (Get-HnsNetwork)",
	},
	{
		0x803b000c, "HCN_E_INVALID_ENDPOINT", "The provided endpoint configuration is invalid or missing parameters", ErrInvalid,
		"the endpoint's address, MAC address or a route is missing or wrong",
		"compare the addresses, gateways and routes that the IPAM plugin gives with the network's subnets (Get-HnsNetwork)",
	},
	{
		0x803b000d, "HCN_E_INVALID_POLICY", "The provided policy configuration is invalid or missing parameters", ErrInvalid,
		`a policy has the old v1 form, a CIDR with host bits set, or "Any" for an address`,
		`correct the policies in the network configuration: v2 form, CIDRs without host bits, no address instead of "Any"`,
	},
	{
		0x803b000e, "HCN_E_INVALID_POLICY_TYPE", "Invalid policy type", ErrInvalid,
		"the policy has a v1 name (ROUTE, NAT, PA), or networks of this type do not take it",
		"use the v2 name (SDNRoute, PortMapping, ProviderAddress) or remove the policy from the network configuration",
	},
	{
		0x803b000f, "HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION", "This requested operation is invalid for a remote endpoint", ErrUnsupported,
		"the endpoint belongs to another node's pod: kube-proxy made it for a service",
		"look for a remote endpoint with the pod's address (Get-HnsEndpoint), restart kube-proxy on the node and then the pod",
	},
	{
		0x803b0010, "HCN_E_NETWORK_ALREADY_EXISTS", "A network with this name already exists", ErrExists,
		"a network of that name is left over, even if no list shows it",
		"make the configuration agree with that network or delete it (Get-HnsNetwork); if none is listed, drain the node and Restart-Service hns",
	},
	{
		0x803b0011, "HCN_E_LAYER_ALREADY_EXISTS", "A network with this name already exists", ErrExists,
		"the layer of a network of that name is left over, even if no list shows it",
		"make the configuration agree with the network on that layer or delete it (Get-HnsNetwork); if none is listed, drain the node and Restart-Service hns",
	},
	{
		0x803b0012, "HCN_E_POLICY_ALREADY_EXISTS", "Policy information already exists on this object", ErrExists,
		"a policy is given twice, or another one has its virtual address and port",
		"remove the policy or port mapping that is there twice (Get-HnsEndpoint, Get-HnsPolicyList)",
	},
	{
		0x803b0013, "HCN_E_PORT_ALREADY_EXISTS", "The specified port already exists", ErrExists,
		"the host port or service address is mapped already, a stale load balancer has it, or the node's pool of ports is used up",
		"find the pod or service that has the port (Get-HnsEndpoint, Get-HnsPolicyList) and free it, or choose another port",
	},
	{
		0x803b0014, "HCN_E_ENDPOINT_ALREADY_ATTACHED", "This endpoint is already attached to the switch", ErrAttached,
		"the endpoint was attached before, as by an agent that does so at each start",
		"restart the pod if the endpoint is attached to anything else (Get-HnsEndpoint)",
	},
	{
		0x803b0015, "HCN_E_REQUEST_UNSUPPORTED", "The specified request is unsupported", ErrUnsupported,
		"the namespace still has containers or endpoints, or HNS crashed since it was made",
		"list what the namespace holds (hnsdiag list namespaces -d) and remove its containers, its endpoints and then itself; restart the node if that fails",
	},
	{
		0x803b0016, "HCN_E_MAPPING_NOT_SUPPORTED", "Port mapping is not supported on the given network", ErrUnsupported,
		"the pod has a hostPort, and networks of this type cannot map ports",
		"remove the pod's hostPort or use a nat, l2bridge or overlay network",
	},
	{
		0x803b0017, "HCN_E_DEGRADED_OPERATION", "There was an operation attempted on a degraded object", nil,
		"the endpoint or network is half made: one of its policies has a bad CIDR, or its adapter was lost",
		"restart the pod; if it recurs, correct the CIDRs of its policies, look at the network's Health (Get-HnsNetwork) and recreate it",
	},
	{
		0x803b0018, "HCN_E_SHARED_SWITCH_MODIFICATION", "Cannot modify a switch shared by multiple networks", nil,
		"another network uses the same adapter with other settings",
		"list the networks on the adapter (Get-HnsNetwork) and give this one their settings or an adapter of its own",
	},
	{
		0x803b0019, "HCN_E_GUID_CONVERSION_FAILURE", "Failed to interpret a parameter as a GUID", ErrInvalid,
		"the runtime passed a namespace that is no GUID, like none or a path of Linux",
		"use a runtime that makes HNS namespaces, such as containerd",
	},
	{
		0x803b001a, "HCN_E_REGKEY_FAILURE", "Failed to process registry key", nil,
		"the store of HNS is damaged",
		"drain the node and Restart-Service hns; as the last resort delete all HNS networks and endpoints (hnsdiag delete) and recreate them",
	},
	{
		0x803b001b, "HCN_E_INVALID_JSON", "Invalid JSON document string", ErrInvalid,
		"a field has the wrong name or type, or a subnet has host bits set",
		"correct the fields of the network configuration and write subnets without host bits (10.0.0.0/24, not 10.0.0.1/24)",
	},
	{
		0x803b001c, "HCN_E_INVALID_JSON_REFERENCE", "The reference is invalid in the JSON document", ErrInvalid,
		"the request names an endpoint or network that was deleted, or a load balancer has no endpoints",
		"restart the pod; if it recurs, compare the ids that it names with those that exist (Get-HnsNetwork, Get-HnsEndpoint)",
	},
	{
		0x803b001d, "HCN_E_ENDPOINT_SHARING_DISABLED", "Endpoint sharing is disabled", nil,
		"a second container wants an endpoint, and the runtime attaches containers one by one",
		"use a runtime that makes HNS namespaces, such as containerd",
	},
	{
		0x803b001e, "HCN_E_INVALID_IP", "IP address is either invalid or not part of any configured subnet(s)", ErrInvalid,
		"the IPAM range lies outside the network's subnets",
		"compare the IPAM range with the network's subnets (Get-HnsNetwork) and make them agree",
	},
	{
		0x803b001f, "HCN_E_SWITCH_EXTENSION_NOT_FOUND", "The specified switch extension does not exist on this switch", nil,
		"the switch lacks an extension, such as Open vSwitch or VFP",
		"install the extension and enable it on the switch (Get-VMSwitchExtension, Enable-VMSwitchExtension)",
	},
	{
		0x803b0020, "HCN_E_MANAGER_STOPPED", "Operation cannot be performed while service is stopping", ErrUnavailable,
		"HNS is stopping or restarting",
		"wait until HNS runs (Get-Service hns) and let the runtime try again",
	},
	{
		0x803b0021, "GCN_E_MODULE_NOT_FOUND", "Operation cannot be performed while service module not found", nil,
		"the guest of an isolated container lacks a module of the network service",
		"use an image whose Windows version matches the node's",
	},
	{
		0x803b0022, "GCN_E_NO_REQUEST_HANDLERS", "Request Handlers not present to handle the JSON request", nil,
		"the guest of an isolated container has nothing that takes the request",
		"use an image whose Windows version matches the node's",
	},
	{
		0x803b0023, "GCN_E_REQUEST_UNSUPPORTED", "The specified request is unsupported", ErrUnsupported,
		"the guest of an isolated container does not know the request",
		"use an image whose Windows version matches the node's",
	},
	{
		0x803b0024, "GCN_E_RUNTIMEKEYS_FAILED", "Add runtime keys to container failed", nil,
		"the guest could not write its registry keys, such as those of DNS",
		"restart the pod; if it recurs, use an image whose Windows version matches the node's",
	},
	{
		0x803b0025, "GCN_E_NETADAPTER_TIMEOUT", "Timeout while waiting for network adapter with the given instance id", ErrBusy,
		"the container's network adapter was slow to appear",
		"let the runtime try again; if it recurs, check the load of the node",
	},
	{
		0x803b0026, "GCN_E_NETADAPTER_NOT_FOUND", "Network adapter not found for the given instance id", ErrNotFound,
		"the container's network adapter is gone",
		"restart the pod so that it gets a new adapter",
	},
	{
		0x803b0027, "GCN_E_NETCOMPARTMENT_NOT_FOUND", "Network compartment not found for the given id", ErrNotFound,
		"the pod's namespace was taken down already",
		"ignore it if the pod is being deleted, else restart the pod",
	},
	{
		0x803b0028, "GCN_E_NETINTERFACE_NOT_FOUND", "Network interface not found for the given id", ErrNotFound,
		"the pod's network interface was taken down already",
		"ignore it if the pod is being deleted, else restart the pod",
	},
	{
		0x803b0029, "GCN_E_DEFAULTNAMESPACE_EXISTS", "Default Namespace already exists", ErrExists,
		"a second default namespace was asked for",
		"use the default namespace that exists (Get-HnsNamespace)",
	},
	{
		0x803b002a, "HCN_E_ICS_DISABLED", "Internet Connection Sharing service (SharedAccess) is disabled and cannot be started", ErrUnavailable,
		"the node was hardened by disabling SharedAccess, which HNS needs for NAT and DNS",
		"enable the service (Set-Service SharedAccess -StartupType Manual) and exempt it from the hardening",
	},
	{
		0x803b002b, "HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS", "This requested operation is invalid as endpoint is already part of a network namespace", ErrAttached,
		"the pod was added twice, or its endpoint still belongs to an older namespace",
		"restart the pod if the endpoint is in a namespace other than the pod's (Get-HnsEndpoint, Get-HnsNamespace)",
	},
	{
		0x803b002c, "HCN_E_ENTITY_HAS_REFERENCES", "The specified entity cannot be removed while it still has references", ErrBusy,
		"something still refers to it, such as the endpoints of a network",
		"list what refers to it (Get-HnsEndpoint, Get-HnsPolicyList), delete that and try again",
	},
	{
		0x803b002d, "HCN_E_INVALID_INTERNAL_PORT", "The internal port must exist and cannot be zero", ErrInvalid,
		"a port mapping has no container port, or port 0",
		"give each hostPort of the pod a containerPort from 1 to 65535",
	},
	{
		0x803b002e, "HCN_E_NAMESPACE_ATTACH_FAILED", "The requested operation for attach namespace failed", nil,
		"the endpoint is degraded since it was made, or its adapter was not ready when the container started",
		"restart the pod; if it recurs, check the policies of its endpoint (Get-HnsEndpoint)",
	},
	{
		0x803b002f, "HCN_E_ADDR_INVALID_OR_RESERVED", "An address provided is invalid or reserved", ErrInvalid,
		"the address is in use, is the subnet's own, broadcast or one that HNS keeps (often .1), or a source VIP is empty",
		"exclude reserved addresses from the IPAM range and find who has the address (Get-HnsEndpoint)",
	},
	{
		0x803b0030, "HCN_E_INVALID_PREFIX", "The prefix provided is invalid", ErrInvalid,
		"a CIDR is malformed or has host bits set",
		"write the CIDRs of the network configuration without host bits (10.0.0.0/24, not 10.0.0.1/24)",
	},
	{
		0x803b0031, "HCN_E_OBJECT_USED_AFTER_UNLOAD", "A call was performed against an object that was torn down", ErrBusy,
		"the object was deleted during the call",
		"let the runtime try again; if it recurs, check that no other tool deletes HNS objects",
	},
	{
		0x803b0032, "HCN_E_INVALID_SUBNET", "The provided subnet configuration is invalid or missing parameters", ErrInvalid,
		"a subnet lacks its gateway or another field",
		"give each subnet in the network configuration a prefix and a gateway",
	},
	{
		0x803b0033, "HCN_E_INVALID_IP_SUBNET", "The provided IP subnet configuration is invalid or missing parameters", ErrInvalid,
		"an address range within a subnet lacks a field or lies outside the subnet",
		"give each subnet in the network configuration a prefix and a gateway",
	},
	{
		0x803b0034, "HCN_E_ENDPOINT_NOT_ATTACHED", "The endpoint must be attached to complete the operation", nil,
		"a policy was set on an endpoint that is not attached yet",
		"restart the pod; if it recurs, check that no other agent sets policies on endpoints before they are attached",
	},
	{
		0x803b0035, "HCN_E_ENDPOINT_NOT_LOCAL", "The endpoint must be local to complete the operation", ErrUnsupported,
		"the endpoint belongs to another node's pod",
		"look for a remote endpoint with the pod's address (Get-HnsEndpoint), restart kube-proxy on the node and then the pod",
	},
	{
		0x803b0036, "HCN_INTERFACEPARAMETERS_ALREADY_APPLIED", "Cannot apply more than one InterfaceParameters policy", ErrInvalid,
		"the endpoint has the InterfaceParameters policy twice",
		"merge the InterfaceParameters policies in the network configuration into one",
	},
	{
		0x803b0037, "HCN_E_VFP_NOT_ALLOWED", "A network of this type can not be created because VFP is not available", ErrUnsupported,
		"this edition of Windows has no VFP, like the editions for clients, or its service vfpext is missing",
		"use the nat driver or a node with Windows Server",
	},
}
