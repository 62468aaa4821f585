// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/doctor"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/kubeproxy"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// fault is what is wrong with an otherwise healthy node, and how it is told.
type fault struct {
	name     string
	plant    func(t *testing.T, i *node.Inventory)
	id       string
	severity doctor.Severity
	// want are parts of the finding's text.
	want []string
	fix  doctor.Fix
	// beside are the ids of what else the fault brings.
	beside []string
}

// down makes HNS answer nothing.
func down(err error) func(*testing.T, *node.Inventory) {
	return func(_ *testing.T, i *node.Inventory) {
		i.Version, i.Networks, i.Endpoints, i.Namespaces = hns.Version{}, nil, nil, nil
		i.Failures = []node.Failure{{Part: node.HNS, Err: err}, {Part: node.Endpoints, Err: err}}
	}
}

var faults = []fault{
	{
		name: "HNS is stopped", plant: down(native(0x6ba)), id: "hns.stopped", severity: doctor.Error,
		want: []string{"0x800706ba", "Start-Service hns"},
	},
	{
		name: "HNS is not started", plant: down(native(0x426)), id: "hns.stopped", severity: doctor.Error,
		want: []string{"ERROR_SERVICE_NOT_ACTIVE"},
	},
	{
		name: "HNS hangs", plant: down(&hns.Error{Op: "list networks", Err: context.DeadlineExceeded}), id: "hns.silent", severity: doctor.Error,
		want: []string{"Restart-Service hns"},
	},
	{
		name: "HNS refuses", plant: down(native(5)), id: "hns.failed", severity: doctor.Error,
		want: []string{"ERROR_ACCESS_DENIED", "SYSTEM"},
	},
	{
		name: "HNS is too old to tell", plant: down(native(0x80004001)), id: "hns.old", severity: doctor.Error,
		want: []string{"Windows Server 2019"},
	},
	{
		name: "HNS is too old", id: "hns.old", severity: doctor.Error, want: []string{"version 9.1"},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Version = hns.Version{Major: 9, Minor: 1}
			i.KubeProxies = nil
		},
	},
	{
		name: "HNS lacks what a conflist asks for", id: "hns.feature", severity: doctor.Error, want: []string{"IPv6 needs HNS 11.10", "/conf/10-bulkhead.conflist"},
		beside: []string{"network.differs"},
		plant: func(t *testing.T, i *node.Inventory) {
			i.Version = hns.Version{Major: 10, Minor: 5}
			conf(t, i, plugin, `"gatewayEndpoint": true, `, "", `"10.1.0.1"}]`, `"10.1.0.1"}, {"prefix": "fd00::/64"}]`)
		},
	},
	{
		name: "adapters cannot be read", id: "node.unread", severity: doctor.Warning, want: []string{"adapters", "no table"},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Adapters, i.Failures = nil, []node.Failure{{Part: node.Adapters, Err: errors.New("no table")}}
		},
	},
	{
		name: "no directory", id: "conflist.dir", severity: doctor.Error, want: []string{"--conf-dir"},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Conflists, i.Reservations, i.KubeProxies = nil, nil, nil
			i.Failures = []node.Failure{{Part: node.Conflists, Err: fs.ErrNotExist}}
		},
	},
	{
		name: "no conflist", id: "conflist.none", severity: doctor.Error, want: []string{"not ready"},
		plant: func(_ *testing.T, i *node.Inventory) { i.Conflists, i.Reservations = nil, nil },
	},
	{
		name: "no conflist of Bulkhead's", id: "conflist.none", severity: doctor.Error, want: []string{"10-flannel.conflist (flannel)"},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Conflists, i.Reservations = []node.Conflist{beside("/conf/10-flannel.conflist", "flannel")}, nil
		},
	},
	{
		name: "another file is first", id: "conflist.first", severity: doctor.Error,
		want: []string{"/conf/05-flannel.conflist (flannel) sorts before 10-bulkhead.conflist", "Rename-Item '/conf/05-flannel.conflist' '05-flannel.conflist.off'"},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Conflists = append([]node.Conflist{beside("/conf/05-flannel.conflist", "flannel")}, i.Conflists...)
		},
	},
	{
		name: "two claim to be first", id: "conflist.others", severity: doctor.Warning, want: []string{"two files of the directory are Bulkhead's", "10-other.conflist"},
		plant: func(t *testing.T, i *node.Inventory) {
			other := beside("/conf/10-other.conflist", "bulkhead")
			other.Plugins = []config.Config{parsed(t, plugin, "podnet", "othernet")}
			i.Conflists = append(i.Conflists, other)
		},
	},
	{
		name: "a file is left behind", id: "conflist.others", severity: doctor.Warning, want: []string{"20-flannel.conflist (flannel) is not"},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Conflists = append(i.Conflists, beside("/conf/20-flannel.conflist", "flannel"))
		},
	},
	{
		name: "a byte order mark", id: "conflist.encoding", severity: doctor.Error, fix: doctor.FixEncoding,
		want:  []string{"UTF-8 with a byte order mark", "[IO.File]::WriteAllText('/conf/10-bulkhead.conflist', "},
		plant: func(_ *testing.T, i *node.Inventory) { i.Conflists[0].Encoding = config.UTF8BOM },
	},
	{
		name: "UTF-16", id: "conflist.encoding", severity: doctor.Error, fix: doctor.FixEncoding, want: []string{"is UTF-16", "loads none"},
		beside: []string{"conflist.first"},
		plant: func(_ *testing.T, i *node.Inventory) {
			wide := node.Conflist{Path: "/conf/00-wide.conflist", Encoding: config.UTF16, Err: config.ErrSyntax}
			i.Conflists = append([]node.Conflist{wide}, i.Conflists...)
		},
	},
	{
		name: "a broken conflist", id: "conflist.broken", severity: doctor.Error, want: []string{"STATUS says so", "correct that"},
		plant: func(_ *testing.T, i *node.Inventory) { i.Conflists[0].Err = config.ErrInvalid },
	},
	{
		name: "a broken file of another", id: "conflist.broken", severity: doctor.Warning, want: []string{"not the first"}, beside: []string{"conflist.others"},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Conflists = append(i.Conflists, node.Conflist{Path: "/conf/99-x.conf", Encoding: config.UTF8, Err: config.ErrSyntax})
		},
	},
	{
		name: "a list that is called conf", id: "conflist.ending", severity: doctor.Error, want: []string{"'10-bulkhead.conflist'"},
		plant: func(_ *testing.T, i *node.Inventory) { i.Conflists[0].Path = "/conf/10-bulkhead.conf" },
	},
	{
		name: "one plugin that is called a list", id: "conflist.ending", severity: doctor.Error, want: []string{"'10-bulkhead.conf'"},
		plant: func(_ *testing.T, i *node.Inventory) { i.Conflists[0].List = false },
	},
	{
		name: "ports without their capability", id: "capability.portMappings", severity: doctor.Error, want: []string{"hostPorts", `"capabilities": {"portMappings": true}`},
		plant: func(t *testing.T, i *node.Inventory) {
			conf(t, i, plugin, `, "portMappings": true`, "", `"driver"`, `"hostPorts": ["80"], "driver"`)
		},
	},
	{
		name: "DNS without its capability", id: "capability.dns", severity: doctor.Warning, want: []string{"dnsPolicy"},
		plant: func(t *testing.T, i *node.Inventory) { conf(t, i, plugin, `"dns": true, `, "") },
	},
	{
		name: "no network, and not ours to make", id: "network.missing", severity: doctor.Error, want: []string{`no HNS network "flannel.4096"`, "podnet (l2bridge)"},
		plant: func(_ *testing.T, i *node.Inventory) {
			c := &i.Conflists[0].Plugins[0]
			c.Network, c.Name = nil, "flannel.4096"
		},
	},
	{
		name: "no network yet", id: "network.absent", severity: doctor.Note, want: []string{"bulkhead network create --conf '/conf/10-bulkhead.conflist'"},
		plant: func(_ *testing.T, i *node.Inventory) { noNetwork(i) },
	},
	{
		name: "another network", id: "network.differs", severity: doctor.Error, want: []string{"subnets: want 10.1.0.0/24 via 10.1.0.1, got 10.9.0.0/24", "bulkhead network delete --name 'podnet'"},
		plant: func(t *testing.T, i *node.Inventory) {
			conf(t, i, plugin, `"gatewayEndpoint": true, `, "")
			i.Networks[0].Subnets = []hns.Subnet{{Prefix: netip.MustParsePrefix("10.9.0.0/24"), Gateway: netip.MustParseAddr("10.9.0.1")}}
		},
	},
	{
		name: "a network of a type that cannot have that", id: "network.driver", severity: doctor.Error, want: []string{`the network is of type "transparent"`},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Conflists[0].Plugins[0].Network = nil
			i.Networks[0].Driver = hns.Transparent
		},
	},
	{
		name: "the node lost its address", id: "network.cutoff", severity: doctor.Error, want: []string{"169.254.7.7", "'vEthernet (Ethernet)'"},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Networks[0].ManagementAddress = netip.MustParseAddr("169.254.7.7")
		},
	},
	{
		name: "an overlay without the node's address", id: "network.provider", severity: doctor.Error, want: []string{"network.providerAddress"},
		plant: func(t *testing.T, i *node.Inventory) {
			onOverlay(t, i)
			i.Networks[0].ProviderAddress, i.Networks[0].ManagementAddress = netip.Addr{}, netip.Addr{}
		},
	},
	{
		name: "no such adapter", id: "adapter.missing", severity: doctor.Error, want: []string{`"Ethernet0 2" is not among Ethernet, vEthernet`}, beside: []string{"network.differs"},
		plant: func(t *testing.T, i *node.Inventory) {
			conf(t, i, plugin, `"adapter": "Ethernet"`, `"adapter": "Ethernet0 2"`)
		},
	},
	{
		name: "no adapter has that address", id: "adapter.missing", severity: doctor.Error, want: []string{"no adapter of this node has 192.168.9.9"}, beside: []string{"network.absent"},
		plant: func(t *testing.T, i *node.Inventory) {
			noNetwork(i)
			conf(t, i, plugin, `"adapter": "Ethernet"`, `"adapter": "192.168.9.9"`)
		},
	},
	{
		name: "the adapter is Wi-Fi", id: "adapter.unusable", severity: doctor.Error, want: []string{"Wi-Fi, which carries no virtual switch"}, beside: []string{"network.absent"},
		plant: func(_ *testing.T, i *node.Inventory) {
			noNetwork(i)
			i.Adapters[0].Type = 71
		},
	},
	{
		name: "the adapter is not connected", id: "adapter.unusable", severity: doctor.Error, want: []string{"Ethernet: not connected"},
		plant: func(_ *testing.T, i *node.Inventory) { i.Adapters[0].Up = false },
	},
	{
		name: "no adapter has a default route", id: "adapter.none", severity: doctor.Warning, want: []string{"Ethernet: no default route"}, beside: []string{"network.absent"},
		plant: func(t *testing.T, i *node.Inventory) {
			noNetwork(i)
			i.Adapters[1].DefaultRoute = false
			conf(t, i, plugin, `"adapter": "Ethernet", `, "")
		},
	},
	{
		name: "the adapter is another network's", id: "adapter.taken", severity: doctor.Warning, want: []string{"lan is on Ethernet and of type transparent"}, beside: []string{"network.absent"},
		plant: func(_ *testing.T, i *node.Inventory) {
			noNetwork(i)
			i.Networks = append(i.Networks, hns.Network{ID: "n2", Name: "lan", Driver: hns.Transparent, Adapter: "Ethernet"})
		},
	},
	{
		name: "two networks share addresses", id: "network.overlap", severity: doctor.Error, want: []string{"cbr0 has 10.1.0.0/16", "bulkhead network delete --name 'cbr0'"},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Networks = append([]hns.Network{second("10.1.0.0/16")}, i.Networks...)
		},
	},
	{
		name: "two subnets on one adapter", id: "network.shared", severity: doctor.Note, want: []string{"cbr0 has 10.2.0.0/16, both on Ethernet"},
		plant: func(_ *testing.T, i *node.Inventory) { i.Networks = append(i.Networks, second("10.2.0.0/16")) },
	},
	{
		name: "no endpoint of the node's own", id: "gateway.missing", severity: doctor.Warning, want: []string{"podnet_ep"},
		plant: func(_ *testing.T, i *node.Inventory) { i.Endpoints = i.Endpoints[1:] },
	},
	{
		name: "the node's endpoint is another's", id: "gateway.differs", severity: doctor.Error, want: []string{"podnet_ep has 10.1.0.5, want 10.1.0.2"},
		plant: func(_ *testing.T, i *node.Inventory) { i.Endpoints[0] = endpoint("e0", "podnet_ep", "", "10.1.0.5") },
	},
	{
		name: "the node does not forward", id: "forwarding.off", severity: doctor.Error,
		want:  []string{"Set-NetIPInterface -InterfaceAlias 'vEthernet (podnet_ep)' -Forwarding Enabled"},
		plant: func(_ *testing.T, i *node.Inventory) { i.Adapters[2].Forwarding = uplink.Off },
	},
	{
		name: "IPv6 is off", id: "ipv6.off", severity: doctor.Error, want: []string{"DisabledComponents of Tcpip6 is 0xff", "Remove-ItemProperty"},
		plant: func(_ *testing.T, i *node.Inventory) { i.DisabledComponents = 0xff },
	},
	{
		name: "HNS was restarted", id: "namespace.cutOff", severity: doctor.Error, want: []string{"holds 10.1.0.10 for it", "crictl stopp " + sandbox(1)},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Endpoints, i.Namespaces[1].Endpoints = i.Endpoints[:1], nil
		},
	},
	{
		name: "HNS was restarted, of a pod with addresses of both families", id: "namespace.cutOff", severity: doctor.Error, want: []string{"holds 10.1.0.10, fd00::10 for it"},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Endpoints, i.Namespaces[1].Endpoints = i.Endpoints[:1], nil
			i.Reservations = append(i.Reservations, reserved("fd00::10", sandbox(1), ago(time.Hour)))
		},
	},
	{
		name: "a container without an interface", id: "namespace.cutOff", severity: doctor.Note, want: []string{"the containers c9"},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Namespaces = append(i.Namespaces, hns.Namespace{ID: "ns9", Containers: []string{"c9"}})
		},
	},
	{
		name: "IPv6 is off where pods need it", id: "ipv6.adapter", severity: doctor.Error, want: []string{"Enable-NetAdapterBinding -Name 'vEthernet (Ethernet)'"},
		plant: func(t *testing.T, i *node.Inventory) {
			conf(t, i, plugin, `"gatewayEndpoint": true, `, "", `"10.1.0.1"}]`, `"10.1.0.1"}, {"prefix": "fd00::/64"}]`)
			i.Networks[0].Subnets = i.Conflists[0].Plugins[0].Network.Subnets
			i.Adapters[1].IPv6 = uplink.Off
		},
	},
	{
		name: "a pod without an address", id: "endpoint.noAddress", severity: doctor.Error, want: []string{"crictl stopp " + sandbox(2)},
		plant: func(_ *testing.T, i *node.Inventory) {
			second := pod2(i)
			second.Addresses = nil
			i.Reservations = i.Reservations[:1]
		},
	},
	{
		name: "a remote endpoint has a pod's address", id: "address.remote", severity: doctor.Error, want: []string{"Get-HnsEndpoint | ? ID -eq 'r1' | Remove-HnsEndpoint"},
		plant: func(_ *testing.T, i *node.Inventory) {
			remote := endpoint("r1", "", "", "10.1.0.10")
			remote.Remote = true
			i.Endpoints = append(i.Endpoints, remote)
		},
	},
	{
		name: "two pods have one address", id: "address.twice", severity: doctor.Error, want: []string{"two pods"},
		plant: func(_ *testing.T, i *node.Inventory) {
			pod2(i).Addresses = i.Endpoints[1].Addresses
			i.Reservations = i.Reservations[:1]
		},
	},
	{
		name: "a pod has another program's address", id: "address.twice", severity: doctor.Error, want: []string{"of sourcevip"},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Endpoints = append(i.Endpoints, endpoint("e5", "sourcevip", "", "10.1.0.10"))
		},
	},
	{
		name: "an endpoint without a container", id: "endpoint.idle", severity: doctor.Warning, want: []string{"in namespace ns2"},
		plant: func(_ *testing.T, i *node.Inventory) { pod2(i); i.Namespaces[2].Containers = nil },
	},
	{
		name: "a pod's address is not reserved", id: "endpoint.unreserved", severity: doctor.Error, want: []string{`no file in C:/networks\podnet reserves it`},
		plant: func(_ *testing.T, i *node.Inventory) { pod2(i); i.Reservations = i.Reservations[:1] },
	},
	{
		name: "the namespace of a pod is gone", id: "endpoint.stale", severity: doctor.Warning, fix: doctor.FixLeftovers, want: []string{"its namespace ns2 is gone", "bulkhead gc --yes"},
		plant: func(_ *testing.T, i *node.Inventory) { pod2(i); i.Namespaces = i.Namespaces[:2] },
	},
	{
		name: "a pod is in no namespace", id: "endpoint.stale", severity: doctor.Warning, fix: doctor.FixLeftovers, want: []string{"in no namespace, and its address is reserved since 2026-11-29T11:00:00Z"},
		plant: func(_ *testing.T, i *node.Inventory) { pod2(i).NamespaceID = ""; i.Namespaces = i.Namespaces[:2] },
	},
	{
		name: "a pod that may just begin", id: "endpoint.stale", severity: doctor.Note, want: []string{"an ADD may be making it"},
		plant: func(_ *testing.T, i *node.Inventory) {
			pod2(i).NamespaceID = ""
			i.Namespaces, i.Reservations[1].Since = i.Namespaces[:2], ago(time.Minute)
		},
	},
	{
		name: "an address without an endpoint", id: "ipam.leaked", severity: doctor.Warning, fix: doctor.FixLeftovers, want: []string{"on podnet: 10.1.0.11", "bulkhead gc --yes"},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Reservations = append(i.Reservations, reserved("10.1.0.11", sandbox(2), ago(time.Hour)))
		},
	},
	{
		name: "an address of nobody", id: "ipam.blank", severity: doctor.Warning, want: []string{`Remove-Item 'C:/networks\podnet\10.1.0.11'`},
		plant: func(_ *testing.T, i *node.Inventory) {
			i.Reservations = append(i.Reservations, ipam.Reservation{Network: "podnet", Addr: netip.MustParseAddr("10.1.0.11"), Since: ago(time.Hour)})
		},
	},
	{
		name: "the addresses are used up", id: "ipam.full", severity: doctor.Warning, want: []string{"18 of 20 addresses of ipam.ranges[0]", "17 of them for no endpoint"}, beside: []string{"ipam.leaked"},
		plant: func(_ *testing.T, i *node.Inventory) {
			for a, n := netip.MustParseAddr("10.1.0.11"), 2; n < 19; a, n = a.Next(), n+1 {
				i.Reservations = append(i.Reservations, reserved(a.String(), sandbox(n), ago(time.Hour)))
			}
		},
	},
	{
		name: "an empty namespace", id: "namespace.empty", severity: doctor.Note, want: []string{"bulkhead netns delete ns9"},
		plant: func(_ *testing.T, i *node.Inventory) { i.Namespaces = append(i.Namespaces, hns.Namespace{ID: "ns9"}) },
	},
	{
		name: "kube-proxy serves another network", id: "kubeproxy.network", severity: doctor.Error,
		want:  []string{`process 7 was told "cbr0"`, "--network-name=podnet --enable-dsr=true", "--feature-gates=WinDSR=true"},
		plant: func(_ *testing.T, i *node.Inventory) { i.KubeProxies[0].Network = "cbr0" },
	},
	{
		name: "kube-proxy was told no network", id: "kubeproxy.network", severity: doctor.Error, want: []string{"neither --network-name nor KUBE_NETWORK"},
		plant: func(_ *testing.T, i *node.Inventory) { i.KubeProxies[0] = kubeproxy.Process{PID: 7} },
	},
	{
		name: "kube-proxy has no source VIP", id: "kubeproxy.sourceVIP", severity: doctor.Error, want: []string{"--network-name=podnet --source-vip=10.1.0.2 --enable-dsr=true"},
		plant: func(t *testing.T, i *node.Inventory) { onOverlay(t, i); i.KubeProxies[0].SourceVIP = "" },
	},
	{
		name: "kube-proxy's source VIP is of another network", id: "kubeproxy.sourceVIP", severity: doctor.Error, want: []string{"10.244.1.2 is not in 10.1.0.0/24", "--source-vip=10.1.0.2 ", "winkernel in C:\\k\\config.conf"},
		plant: func(t *testing.T, i *node.Inventory) {
			onOverlay(t, i)
			i.KubeProxies[0].SourceVIP, i.KubeProxies[0].Config = "10.244.1.2", `C:\k\config.conf`
		},
	},
	{
		name: "a pod has kube-proxy's source VIP", id: "kubeproxy.sourceVIP", severity: doctor.Error, want: []string{"10.1.0.10 is that of " + sandbox(1)},
		plant: func(t *testing.T, i *node.Inventory) { onOverlay(t, i); i.KubeProxies[0].SourceVIP = "10.1.0.10" },
	},
	{
		name: "kube-proxy's source VIP is in the pods' range", id: "kubeproxy.sourceVIP", severity: doctor.Warning, want: []string{`"exclude": ["10.1.0.20"]`},
		plant: func(t *testing.T, i *node.Inventory) { onOverlay(t, i); i.KubeProxies[0].SourceVIP = "10.1.0.20" },
	},
	{
		name: "kube-proxy asks for DSR in vain", id: "kubeproxy.dsr", severity: doctor.Error, want: []string{"version 10.1", "start kube-proxy with --network-name=podnet"},
		plant: func(_ *testing.T, i *node.Inventory) { i.Version = hns.Version{Major: 10, Minor: 1} },
	},
	{
		name: "DSR without loopback", id: "kubeproxy.dsr", severity: doctor.Warning, want: []string{"loopbackDSR is false"},
		plant: func(t *testing.T, i *node.Inventory) {
			conf(t, i, plugin, `"driver"`, `"loopbackDSR": false, "driver"`)
		},
	},
	{
		name: "loopback without DSR", id: "kubeproxy.dsr", severity: doctor.Warning, want: []string{"--enable-dsr=true"},
		plant: func(t *testing.T, i *node.Inventory) {
			conf(t, i, plugin, `"driver"`, `"loopbackDSR": true, "driver"`)
			i.KubeProxies[0].DSR = false
		},
	},
}

// noNetwork makes the node one on which no pod has been.
func noNetwork(i *node.Inventory) {
	i.Networks, i.Endpoints, i.Namespaces, i.Reservations = nil, nil, nil, nil
	i.Adapters = i.Adapters[:2]
}

// second is another network on the same adapter.
func second(prefix string) hns.Network {
	return hns.Network{ID: "n2", Name: "cbr0", Driver: hns.L2Bridge, Adapter: "ethernet", Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix(prefix)}}}
}

// pod2 puts a second pod on the node and returns its endpoint.
func pod2(i *node.Inventory) *hns.Endpoint {
	i.Endpoints = append(i.Endpoints, endpoint("e2", sandbox(2)+"_podnet", "ns2", "10.1.0.11"))
	i.Namespaces = append(i.Namespaces, hns.Namespace{ID: "ns2", Endpoints: []string{"e2"}, Containers: []string{sandbox(2)}})
	i.Reservations = append(i.Reservations, reserved("10.1.0.11", sandbox(2), ago(time.Hour)))
	return &i.Endpoints[len(i.Endpoints)-1]
}
