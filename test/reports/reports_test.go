// SPDX-License-Identifier: Apache-2.0

package reports_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/test/verbs"
)

// Two interfaces of one container are two endpoints, whatever their networks are called.
func TestReport01EndpointNames(t *testing.T) {
	both(t, func(n node, _ bool) {
		netns := n.Namespace(n.T)
		on := func(id, network, ifName string, subnet int) verbs.Call {
			return verbs.Call{ContainerID: id, NetNS: netns, IfName: ifName, Conf: n.conf(fmt.Sprintf(
				`"name":%q,"ipam":%s,"network":{"subnets":[{"prefix":"10.%d.0.0/24"}]}`, network, n.hostLocal(`"ranges":null`), subnet))}
		}
		first, second, third := on("c1", "data_eth1", "eth0", 11), on("c1", "data", "eth1", 12), on("c1_data", "eth1", "eth0", 13)
		n.add(first)
		n.add(second)
		n.want("two interfaces", n.names(), "c1_data#eth1", "c1_data_eth1")
		third.NetNS = n.Namespace(n.T)
		n.add(third)
		n.want("another container", n.names(), "c1_data#eth1", "c1_data_eth1", "c1_data_eth1")
		n.del(second)
		n.want("without the second", n.names(), "c1_data_eth1", "c1_data_eth1")
		n.del(third)
		n.want("without the third", n.names(), "c1_data_eth1")
		n.del(first)
		n.want("at the end", n.Left(n.T))
	})
}

// Pods of older versions are found by the names that these gave, and an endpoint that is
// in use is never removed by an ADD.
func TestReport01OlderNamesAndUse(t *testing.T) {
	both(t, func(n node, _ bool) {
		c := verbs.Call{ContainerID: "c1", NetNS: n.Namespace(n.T), IfName: "eth1", Conf: n.conf()}
		made := n.network("podnet", hns.L2Bridge, "10.10.0.0/24", "10.10.0.1")
		ctx := context.Background()
		id, err := n.HNS.CreateEndpoint(ctx, hns.Endpoint{Name: "c1_podnet_eth1", NetworkID: made.ID, Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.0.9/24")}})
		if err == nil {
			err = n.HNS.Attach(ctx, c.NetNS, id)
		}
		if err != nil {
			n.Fatal(err)
		}
		n.want("the pod's addresses", ips(n.add(c)), "10.10.0.9")
		elsewhere := c
		elsewhere.Verb, elsewhere.NetNS = "ADD", n.Namespace(n.T)
		n.refused(elsewhere, 106, "endpoint c1_podnet_eth1 of this container is in namespace "+c.NetNS)
		n.want("endpoints", n.names(), "c1_podnet_eth1")
		n.del(c)
		n.want("at the end", n.Left(n.T))

		// The node's own endpoint on one network has the name of a pod's on another.
		n.network("ep", hns.L2Bridge, "10.13.0.0/24", "10.13.0.1")
		if _, err := n.HNS.CreateEndpoint(ctx, hns.Endpoint{Name: "podnet_ep", NetworkID: made.ID}); err != nil {
			n.Fatal(err)
		}
		n.del(verbs.Call{ContainerID: "podnet", NetNS: c.NetNS, Conf: n.conf(`"name":"ep"`)})
		n.want("the node's endpoint", n.names(), "podnet_ep")
	})
}

// No pod gets an address that the configuration names for something else.
func TestReport02NamedAddresses(t *testing.T) {
	both(t, func(n node, _ bool) {
		first := verbs.Call{ContainerID: "c1", NetNS: n.Namespace(n.T), Conf: n.conf(n.dual(
			`,"routes":[{"dst":"10.20.0.0/16","gw":"10.10.0.2"},{"dst":"fd00:20::/64","gw":"fd00:10::2"}]`),
			`"dns":{"nameservers":["10.10.0.3","fd00:10::3"]},"routes":[{"dst":"10.30.0.0/16","nextHop":"10.10.0.4"}],
			"policies":[{"Type":"OutBoundNAT","Settings":{"VirtualIP":"10.10.0.5","Exceptions":["10.0.0.0/8"]}}]`)}
		n.want("the first pod", ips(n.add(first)), "10.10.0.6", "fd00:10::4")
		n.del(first)
		n.want("after DEL", n.Left(n.T))

		add := verbs.Call{Verb: "ADD", ContainerID: "c2", NetNS: first.NetNS}
		for words, members := range map[string]string{
			"ipam.addresses[0]: 10.10.0.9 cannot be the pod's: it is routes[0].nextHop":  `"routes":[{"dst":"10.30.0.0/16","nextHop":"10.10.0.9"}],"ipam":{"type":"static","addresses":[{"address":"10.10.0.9/24"}]}`,
			"ipam.addresses[0]: 10.10.0.9 is its own gateway":                            `"ipam":{"type":"static","addresses":[{"address":"10.10.0.9/24","gateway":"10.10.0.9"}]}`,
			"ipam.addresses[0]: 10.10.0.255 cannot be the pod's: it is the last address": `"ipam":{"type":"static","addresses":[{"address":"10.10.0.255/24"}]}`,
			"ipam.addresses[1]: an endpoint takes one address of a family":               `"ipam":{"type":"static","addresses":[{"address":"10.10.0.5/24"},{"address":"10.10.0.6/24"}]}`,
			"ipam.addresses[0].gateway: 10.10.0.255 is the broadcast address":            `"ipam":{"type":"static","addresses":[{"address":"10.10.0.9/24","gateway":"10.10.0.255"}]}`,
			"runtimeConfig.ips[0]: requested address 10.10.0.3 is never handed out":      `"dns":{"nameservers":["10.10.0.3"]},"runtimeConfig":{"ips":["10.10.0.3"]}`,
			"ipam.routes[0].gw: 10.99.0.1 is outside of 10.10.0.0/24":                    `"ipam":` + n.hostLocal(`"ranges":[[{"subnet":"10.10.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0","gw":"10.99.0.1"}]`),
			"ipam.ranges[0][0].gateway: 10.10.0.0 is the network address":                `"ipam":` + n.hostLocal(`"ranges":[[{"subnet":"10.10.0.0/24","gateway":"10.10.0.0"}]]`),
		} {
			add.Conf = n.conf(members)
			n.refusedUntouched(add, 7, words)
		}
	})
}

// An IPAM plugin that is executed may not give such an address either. The plugin is
// host-local under another name, which reads its section and nothing else.
func TestReport02ExecutedPlugin(t *testing.T) {
	both(t, func(n node, windows bool) {
		n.Setenv("CNI_PATH", otherIPAM(n.T, windows))
		section := func(members string) string {
			return strings.Replace(n.hostLocal(members), "host-local", "other-ipam", 1)
		}
		only := func(address string) string {
			return fmt.Sprintf(`"subnet":"10.10.0.0/24","rangeStart":%q,"rangeEnd":%[1]q`, address)
		}
		add := verbs.Call{Verb: "ADD", ContainerID: "c1", NetNS: n.Namespace(n.T)}
		for words, members := range map[string]string{
			"IPAM plugin other-ipam gave the pod 10.10.0.2, but that is dns.nameservers[0]": `"dns":{"nameservers":["10.10.0.2"]},"ipam":` + section(only("10.10.0.2")),
			"IPAM plugin other-ipam gave the pod 10.10.0.1, but that is":                    `"ipam":` + section(only("10.10.0.1")+`,"gateway":"10.10.0.9"`),
			"IPAM gave 10.10.0.2 the gateway 10.10.0.255, but":                              `"ipam":` + section(only("10.10.0.2")+`,"gateway":"10.10.0.255"`),
			"gave the pod 10.10.0.2, but that is the next hop of the route 10.20.":          `"ipam":` + section(only("10.10.0.2")+`,"routes":[{"dst":"10.20.0.0/16","gw":"10.10.0.2"}]`),
		} {
			add.Conf = n.conf(members)
			code := uint(103)
			if strings.Contains(words, "the gateway") {
				code = 7
			}
			n.refused(add, code, words)
			n.want("after "+words, n.Left(n.T))
		}
	})
}

// A network that contradicts the addresses is not made, and one that was made can be got
// rid of.
func TestReport03Contradiction(t *testing.T) {
	both(t, func(n node, _ bool) {
		wrong := verbs.Call{Verb: "ADD", ContainerID: "c1", NetNS: n.Namespace(n.T), Conf: n.conf(
			`"network":{"subnets":[{"prefix":"192.168.50.0/24","gateway":"192.168.50.1"}]}`)}
		const words = "ipam.ranges[0][0]: 10.10.0.254 is outside of network.subnets (192.168.50.0/24)"
		n.refusedUntouched(wrong, 7, words)
		wrong.Verb, wrong.Conf = "STATUS", strings.Replace(wrong.Conf, "1.0.0", "1.1.0", 1)
		n.refusedUntouched(wrong, 50, words)

		n.network("podnet", hns.L2Bridge, "192.168.50.0/24", "192.168.50.1")
		right := verbs.Call{Verb: "ADD", ContainerID: "c1", NetNS: wrong.NetNS, Conf: n.conf()}
		n.refused(right, 102, "bulkhead network delete --name podnet removes it")
		pod := n.createEndpoint("podnet", "c9_podnet")
		if status, out := n.command("network", "delete", "--name", "podnet"); status != 1 || !strings.Contains(out, "has 1 endpoints (c9_podnet)") {
			n.Errorf("with a pod: %d %s", status, out)
		}
		if err := n.HNS.DeleteEndpoint(context.Background(), pod); err != nil {
			n.Fatal(err)
		}
		if status, out := n.command("network", "delete", "--name", "podnet"); status != 0 || !strings.Contains(out, `The network "podnet" is gone. It was l2bridge, 192.168.50.0/24`) {
			n.Errorf("without pods: %d %s", status, out)
		}
		n.network("podnet", hns.L2Bridge, "192.168.50.0/24", "192.168.50.1")
		file := filepath.Join(n.Dir, "10-podnet.conf")
		if err := os.WriteFile(file, []byte(right.Conf), 0o600); err != nil {
			n.Fatal(err)
		}
		if n.dataDir != n.Dir {
			file = n.dataDir + `\10-podnet.conf`
		}
		if status, out := n.command("network", "delete", "--conf", file); status != 0 || !strings.Contains(out, "It was l2bridge, 192.168.50.0/24") {
			n.Errorf("by a file that differs: %d %s", status, out)
		}
		n.add(right)
	})
}

// createEndpoint makes an endpoint on a network as another program does.
func (n node) createEndpoint(network, name string) string {
	n.Helper()
	at, err := n.HNS.Network(context.Background(), network)
	if err != nil {
		n.Fatal(err)
	}
	id, err := n.HNS.CreateEndpoint(context.Background(), hns.Endpoint{Name: name, NetworkID: at.ID})
	if err != nil {
		n.Fatal(err)
	}
	return id
}

// What flannel's Windows plugin sends its delegate: its own keys and ipam section on top
// of the delegate's, on the network that flannel made, which pods leave by cbr0_ep
// (flannel-io/cni-plugin, flannel_windows.go).
func TestReport04FlannelDelegate(t *testing.T) {
	both(t, func(n node, _ bool) {
		made := n.network("cbr0", hns.L2Bridge, "10.244.1.0/24", "10.244.1.1")
		ctx := context.Background()
		id, err := n.HNS.CreateEndpoint(ctx, hns.Endpoint{Name: "cbr0_ep", NetworkID: made.ID, Addresses: []netip.Prefix{netip.MustParsePrefix("10.244.1.2/24")}})
		if err == nil {
			err = n.HNS.AttachHost(ctx, id)
		}
		if err != nil {
			n.Fatal(err)
		}
		for _, masq := range []bool{true, false} {
			c := verbs.Call{ContainerID: "c1", NetNS: n.Namespace(n.T), Conf: n.conf(`"name":"cbr0","network":null`, fmt.Sprintf(
				`"ipMasq":%t,"ipMasqNetwork":"10.244.0.0/16","ipam":%s`, masq, n.hostLocal(`"subnet":"10.244.1.0/24"`)))}
			r := n.add(c)
			if got := r.IPs[0].Gateway.String(); got != "10.244.1.2" {
				n.Errorf("ipMasq %t: the gateway is %s", masq, got)
			}
			var exceptions []string
			for _, p := range n.endpoint("c1_cbr0").Policies {
				if nat, ok := p.(hns.OutboundNAT); ok {
					for _, e := range nat.Exceptions {
						exceptions = append(exceptions, e.String())
					}
				}
			}
			if masq {
				n.want("exceptions", exceptions, "10.244.0.0/16")
			} else {
				n.want("exceptions", exceptions)
			}
			n.del(c)
			n.want("after DEL", n.Left(n.T))
		}
		c := verbs.Call{ContainerID: "c1", NetNS: n.Namespace(n.T), Conf: n.conf(`"name":"cbr0","network":null`, `"ipMasq":true,"ipMasqNetwork":"10.244.0.0/16",
			"outboundNAT":{"exceptions":["10.96.0.0/12"]},"ipam":`+n.hostLocal(`"subnet":"10.244.1.0/24"`))}
		n.add(c)
		if got := n.endpoint("c1_cbr0").Policies; !slices.ContainsFunc(got, func(p hns.Policy) bool {
			nat, ok := p.(hns.OutboundNAT)
			return ok && fmt.Sprint(nat.Exceptions) == "[10.96.0.0/12 10.244.0.0/16]"
		}) {
			n.Errorf("with outboundNAT: %v", got)
		}
	})
}

// An address and a MAC address that the runtime asks for are given by whichever way it
// asks, with or without an ipam section, or refused in the same words.
func TestReport05AddressAndMAC(t *testing.T) {
	const mac = "02:aa:bb:cc:dd:01"
	channels := map[string]func(c *verbs.Call, conf func(...string) string, more string, ip string){
		"CNI_ARGS": func(c *verbs.Call, conf func(...string) string, more, ip string) {
			c.Conf, c.CNIArgs = conf(more), verbs.Args+";IP="+ip+";MAC="+mac
		},
		"args.cni": func(c *verbs.Call, conf func(...string) string, more, ip string) {
			c.Conf = conf(more, fmt.Sprintf(`"args":{"cni":{"ips":[%q],"mac":%q}}`, ip, mac))
		},
		"runtimeConfig": func(c *verbs.Call, conf func(...string) string, more, ip string) {
			c.Conf = conf(more, fmt.Sprintf(`"runtimeConfig":{"ips":[%q],"mac":%q}`, ip, mac))
		},
	}
	both(t, func(n node, windows bool) {
		for _, d := range hns.Drivers() {
			if windows && d != hns.NAT && d != hns.Transparent {
				continue // the other drivers take the same way; each call starts a process
			}
			subnet := `{"prefix":"10.10.0.0/24","gateway":"10.10.0.1"`
			if d == hns.Overlay {
				subnet += `,"vsid":4096`
			}
			base := fmt.Sprintf(`"name":"net-%s","driver":%q,"network":{"subnets":[%s}]}`, d, d, subnet)
			for channel, ask := range channels {
				for ipam, section := range map[string]string{"without ipam": "null", "host-local": n.hostLocal(`"ranges":[[{"subnet":"10.10.0.0/24"}]]`)} {
					c := verbs.Call{ContainerID: "c1", NetNS: n.Namespace(n.T)}
					ask(&c, n.conf, base+`,"ipam":`+section, "10.10.0.77")
					r := n.add(c)
					if got := ips(r); !slices.Equal(got, []string{"10.10.0.77"}) || r.Interfaces[0].Mac != mac {
						n.Errorf("%s, %s, %s: got %v and %s", d, channel, ipam, got, r.Interfaces[0].Mac)
					}
					n.del(c)
					c.Verb = "ADD"
					ask(&c, n.conf, base+`,"ipam":`+section, "10.99.0.1")
					n.refusedUntouched(c, 7, "10.99.0.1 is")
				}
			}
			if err := n.HNS.DeleteNetwork(context.Background(), n.State(n.T).Networks[0].ID); err != nil {
				n.Fatal(err)
			}
		}
		n.want("at the end", n.Left(n.T))
		c := verbs.Call{Verb: "ADD", ContainerID: "c1", NetNS: n.Namespace(n.T), CNIArgs: verbs.Args + ";MAC=", Conf: n.conf(`"runtimeConfig":{"mac":""}`)}
		n.add(c)
		n.del(c)
		c.CNIArgs, c.Conf = verbs.Args+";MAC="+mac, n.conf(`"runtimeConfig":{"mac":"02:aa:bb:cc:dd:02"}`)
		n.refusedUntouched(c, 7, "runtimeConfig.mac: 02:aa:bb:cc:dd:02 is not 02:aa:bb:cc:dd:01, which CNI_ARGS MAC asks for")
		c.CNIArgs, c.Conf = verbs.Args+";GATEWAY=10.10.0.9", n.conf()
		n.refusedUntouched(c, 7, "CNI_ARGS GATEWAY: only the IPAM plugin static takes it")
	})
}

// An executed plugin is asked by whichever way the runtime asks.
func TestReport05ExecutedPlugin(t *testing.T) {
	both(t, func(n node, windows bool) {
		n.Setenv("CNI_PATH", otherIPAM(n.T, windows))
		section := strings.Replace(n.hostLocal(`"subnet":"10.10.0.0/24"`), "host-local", "other-ipam", 1)
		for channel, c := range map[string]verbs.Call{
			"CNI_ARGS IP":          {CNIArgs: verbs.Args + ";IP=10.10.0.77", Conf: n.conf(`"ipam":` + section)},
			"args.cni.ips[0]":      {Conf: n.conf(`"args":{"cni":{"ips":["10.10.0.77"]}},"ipam":` + section)},
			"runtimeConfig.ips[0]": {Conf: n.conf(`"runtimeConfig":{"ips":["10.10.0.77"]},"ipam":` + section)},
		} {
			c.ContainerID, c.NetNS = "c1", n.Namespace(n.T)
			n.want(channel, ips(n.add(c)), "10.10.0.77")
			n.del(c)
			n.want("after DEL", n.Left(n.T))
		}
	})
}

// DEL removes the endpoint whatever the file says of ipam, and then what it could not
// free.
func TestReport06DelWithBrokenIPAM(t *testing.T) {
	both(t, func(n node, _ bool) {
		n.Setenv("CNI_PATH", n.TempDir())
		for words, ipam := range map[string]string{
			"ipam.type: missing; write":             `{"type":"","ranges":[[{"subnet":"10.10.0.0/24"}]]}`,
			"ipam.type: missing":                    `{"ranges":[[{"subnet":"10.10.0.0/24"}]]}`,
			"ipam: want an object, got 5":           `5`,
			"ipam.type: want a string, got 5":       `{"type":5}`,
			"ipam.dataDir: want a string, got 5":    `{"type":"host-local","dataDir":5}`,
			"IPAM plugin gone-ipam: failed to find": `{"type":"gone-ipam"}`,
		} {
			c := verbs.Call{ContainerID: "c1", NetNS: "none", Conf: n.conf()}
			n.add(c)
			broken := c
			broken.Verb, broken.Conf = "DEL", n.conf(`"ipam":`+ipam)
			code := uint(7)
			if strings.Contains(words, "gone-ipam") {
				code = 103
			}
			n.refused(broken, code, "there is no endpoint any more, but its address is not freed: "+words)
			n.want("endpoints after "+words, n.names())
			if s := n.State(n.T); len(s.Namespaces) > 0 {
				n.Errorf("after %s: namespaces %v", words, s.Namespaces)
			}
			if held := verbs.Addresses(n.T, n.Dir); len(held) != 1 {
				n.Errorf("after %s: addresses %v", words, held)
			}
			n.del(c)
			n.want("at the end", n.Left(n.T))
		}
	})
}

// 0.0.0.0 is for the node's IPv4 addresses and :: for its IPv6 addresses.
func TestReport08Wildcards(t *testing.T) {
	mappings := func(list ...string) string {
		return `"runtimeConfig":{"portMappings":[` + strings.Join(list, ",") + `]}`
	}
	of := func(hostIP string) string {
		return fmt.Sprintf(`{"hostPort":8080,"containerPort":80,"protocol":"tcp","hostIP":%q}`, hostIP)
	}
	both(t, func(n node, _ bool) {
		for _, tt := range []struct {
			name, conf string
			want       []string
		}{
			{"both", n.conf(n.dual(""), mappings(of("0.0.0.0"), of("::"))), []string{"4", "6"}},
			{"none", n.conf(n.dual(""), mappings(of(""))), []string{"4", "6"}},
			{"IPv4", n.conf(n.dual(""), mappings(of("0.0.0.0"))), []string{"4"}},
			{"IPv6", n.conf(n.dual(""), mappings(of("::"))), []string{"6"}},
			{"both, of a pod without IPv6", n.conf(mappings(of("0.0.0.0"), of("::"))), []string{"4"}},
		} {
			c := verbs.Call{ContainerID: "c1", NetNS: n.Namespace(n.T), Conf: tt.conf}
			if tt.name == "both, of a pod without IPv6" {
				n.command("network", "delete", "--name", "podnet")
			}
			n.add(c)
			var got []string
			for _, p := range n.endpoint("c1_podnet").Policies {
				if m, ok := p.(hns.PortMapping); ok {
					family := "4"
					if m.Flags&hns.IPv6 != 0 {
						family = "6"
					}
					if m.VIP.IsValid() {
						family += " on " + m.VIP.String()
					}
					got = append(got, family)
				}
			}
			n.want(tt.name, got, tt.want...)
			n.del(c)
		}
		add := verbs.Call{Verb: "ADD", ContainerID: "c1", NetNS: n.Namespace(n.T)}
		for _, pair := range [][2]string{{"", "0.0.0.0"}, {"0.0.0.0", "192.168.1.5"}, {"192.168.1.5", "192.168.1.5"}, {"::", ""}} {
			add.Conf = n.conf(n.dual(""), mappings(of(pair[0]), of(pair[1])))
			n.refusedUntouched(add, 7, "runtimeConfig.portMappings[1]: runtimeConfig.portMappings[0] asks for tcp port 8080 of the node, too")
		}
		add.Conf = n.conf(mappings(of("::")))
		n.refusedUntouched(add, 7, "runtimeConfig.portMappings[0].hostIP: \"::\" is of a family that the pod has no address of; leave hostIP out")
	})
}

// A pod's annotation that cannot arrive would be isolation that is silently off.
func TestReport09AnnotationsArrive(t *testing.T) {
	const capability = `"capabilities":{"io.kubernetes.cri.pod-annotations":true},`
	annotated := func(value string) string {
		return fmt.Sprintf(`"runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"bulkhead.dev/acl":%q}}`, value)
	}
	both(t, func(n node, _ bool) {
		c := verbs.Call{ContainerID: "c1", NetNS: n.Namespace(n.T), Conf: n.conf(`"cniVersion":"1.1.0","acl":{"podAnnotations":true}`)}
		for verb, words := range map[string]string{"ADD": "do not arrive: the runtime sends no runtimeConfig", "STATUS": "do not arrive; declare"} {
			c.Verb = verb
			n.refusedUntouched(c, map[string]uint{"ADD": 7, "STATUS": 50}[verb], "acl.podAnnotations: the pod's annotations "+words)
		}
		open := n.conf(capability + `"cniVersion":"1.1.0","acl":{"podAnnotations":true}`)
		c.Verb, c.Conf = "ADD", open
		n.refusedUntouched(c, 7, "acl.podAnnotations: the pod's annotations do not arrive: the runtime sends no runtimeConfig")
		c.Conf = n.conf(capability + `"acl":{"podAnnotations":true},` + annotated(`{"rules":[{"direction":"in"}]}`))
		n.refusedUntouched(c, 7, "annotation bulkhead.dev/acl.rules[0].action: missing; want allow or deny: correct the pod's annotation")
		c.Conf = n.conf(capability + `"acl":{"podAnnotations":true},` + annotated("{\n\"rules\": x}"))
		n.refusedUntouched(c, 7, "annotation bulkhead.dev/acl: malformed JSON at line 2, column 10: ")
		if _, err := n.call(verbs.Call{Verb: "STATUS", Conf: open}); err != nil {
			n.Errorf("STATUS: %v", err)
		}
		// A runtime may take the capabilities out of what it sends (CNI specification).
		c.Conf = n.conf(`"acl":{"podAnnotations":true},` + annotated(`{"inbound":{"default":"deny"}}`))
		n.add(c)
		n.del(c)
		// containerd sends null for a pod without annotations.
		for _, sent := range []string{`"runtimeConfig":{"io.kubernetes.cri.pod-annotations":null}`, annotated(`{"inbound":{"default":"deny"}}`)} {
			c.Conf = n.conf(capability + `"acl":{"podAnnotations":true},` + sent)
			n.add(c)
			n.del(c)
		}
	})
}
