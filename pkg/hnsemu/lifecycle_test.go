// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// populate puts networks that survive a reboot and such that do not on a node,
// and a running pod on each; it returns the namespaces.
func (c client) populate() []string {
	c.Helper()
	var ids []string
	for i, document := range []string{
		networkDocument("NAT", "nat", ""),
		networkDocument("L2Bridge", "kept", ""),
		networkDocument("L2Bridge", "volatile", `"Flags":8,`),
	} {
		n := c.create("Network", document)
		e := c.createEndpoint(n, v2(`"Name":"pod"`))
		s := c.create("Namespace", fmt.Sprintf(`{"ID":"00000000-0000-0000-0000-00000000000%d"}`, i+1))
		c.attach(s, e)
		c.start(Container{ID: fmt.Sprint("c", i+1), NamespaceID: s})
		c.create("LoadBalancer", v2(fmt.Sprintf(`"HostComputeEndpoints":[%q],"FrontendVIPs":["1.1.1.%d"]`, e, i+1)))
		ids = append(ids, s)
	}
	return ids
}

func TestServiceStopped(t *testing.T) {
	c := newClient(t, "2025")
	c.populate()
	handle := c.open("Network", c.enumerate("Networks", "")[0])
	for range 2 {
		if err := c.StopService(); err != nil {
			t.Fatal(err)
		}
	}
	for _, proc := range []struct {
		name string
		args []string
	}{
		{"HcnEnumerateNetworks", []string{""}}, {"HcnQueryNetworkProperties", []string{handle, ""}}, {"HNSCall", []string{"GET", "/globals/version", ""}},
	} {
		if got := c.call(proc.name, proc.args...).Code; got != hns.CodeServiceNotActive {
			t.Errorf("%s: %s", proc.name, got)
		}
	}
	if err := c.StartContainer(Container{ID: "new", NamespaceID: unknownID}); asError(err).Code != hns.CodeServiceNotActive {
		t.Errorf("start a container: %v", err)
	}
	if got := c.dump()[:16]; got != "service stopped\n" {
		t.Errorf("dump begins with %q", got)
	}
	if state, _ := c.State(); !state.Stopped {
		t.Error("the state does not say so")
	}
	for range 2 {
		if err := c.StartService(); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.call("HcnQueryNetworkProperties", handle, "").Code; got != hns.CodeTornDown {
		t.Errorf("old handle: %s", got)
	}
	c.must("HcnCloseNetwork", handle)
}

// TestContainerEndsUnseen: what ends while HNS is stopped leaves its id behind.
func TestContainerEndsUnseen(t *testing.T) {
	c := newClient(t, "2019")
	s := c.populate()
	if err := c.StopService(); err != nil {
		t.Fatal(err)
	}
	c.stop("c1")
	if err := c.StartService(); err != nil {
		t.Fatal(err)
	}
	if got := c.call("HcnDeleteNamespace", s[0]).Code; got != schema.CodeUnsupported {
		t.Errorf("delete: %s", got)
	}
}

const (
	keptPods = `network "kept" L2Bridge
  adapter "Ethernet"
  subnet 192.168.100.0/24 gateway 192.168.100.1
  endpoint "pod"
    state attached sharing in namespace 00000000-0000-0000-0000-000000000002
    address 192.168.100.2/24
    route 0.0.0.0/0 via 192.168.100.1
network "nat" NAT
  subnet 192.168.100.0/24 gateway 192.168.100.1
  endpoint "pod"
    state attached sharing in namespace 00000000-0000-0000-0000-000000000001
    address 192.168.100.2/24
    route 0.0.0.0/0 via 192.168.100.1
network "volatile" L2Bridge
  adapter "Ethernet"
  flags 8
  subnet 192.168.100.0/24 gateway 192.168.100.1
  endpoint "pod"
    state attached sharing in namespace 00000000-0000-0000-0000-000000000003
    address 192.168.100.2/24
    route 0.0.0.0/0 via 192.168.100.1
namespace 00000000-0000-0000-0000-000000000001 Host
  compartment 2
  endpoint "nat"/"pod"
  container c1 process
namespace 00000000-0000-0000-0000-000000000002 Host
  compartment 3
  endpoint "kept"/"pod"
  container c2 process
namespace 00000000-0000-0000-0000-000000000003 Host
  compartment 4
  endpoint "volatile"/"pod"
  container c3 process
loadbalancer 1.1.1.1
  endpoint "nat"/"pod"
loadbalancer 1.1.1.2
  endpoint "kept"/"pod"
loadbalancer 1.1.1.3
  endpoint "volatile"/"pod"
`
	lostEndpoints = `network "kept" L2Bridge
  adapter "Ethernet"
  subnet 192.168.100.0/24 gateway 192.168.100.1
network "nat" NAT
  subnet 192.168.100.0/24 gateway 192.168.100.1
namespace 00000000-0000-0000-0000-000000000001 Host
  compartment 2
  container c1 process
namespace 00000000-0000-0000-0000-000000000002 Host
  compartment 3
  container c2 process
namespace 00000000-0000-0000-0000-000000000003 Host
  compartment 4
  container c3 process
`
	rebooted = `network "kept" L2Bridge
  adapter "Ethernet"
  subnet 192.168.100.0/24 gateway 192.168.100.1
`
	rebootedStale = rebooted + `  endpoint "pod"
    state created
    address 192.168.100.2/24
    route 0.0.0.0/0 via 192.168.100.1
loadbalancer 1.1.1.1
loadbalancer 1.1.1.2
  endpoint "kept"/"pod"
loadbalancer 1.1.1.3
`
)

// TestPersistence restarts the service and reboots the node.
func TestPersistence(t *testing.T) {
	for _, tc := range []struct {
		name, profile string
		unknowns      Unknowns
		event         func(*Host) error
		want          string
	}{
		{"restart", "2019", Unknowns{}, (*Host).RestartService, keptPods},
		{"restart", "2022", Unknowns{}, (*Host).RestartService, lostEndpoints},
		{"restart", "2025", Unknowns{}, (*Host).RestartService, lostEndpoints},
		{"reboot", "2019", Unknowns{}, (*Host).Reboot, rebooted},
		{"reboot", "2025", Unknowns{}, (*Host).Reboot, rebooted},
		{"reboot with stale endpoints", "2025", Unknowns{EndpointsSurviveReboot: true}, (*Host).Reboot, rebootedStale},
	} {
		t.Run(tc.name+" "+tc.profile, func(t *testing.T) {
			c := newClient(t, tc.profile)
			c.populate()
			if diff := cmp.Diff(keptPods, c.dump()); diff != "" {
				t.Fatalf("before (-want +got):\n%s", diff)
			}
			if err := c.SetUnknowns(tc.unknowns); err != nil {
				t.Fatal(err)
			}
			if err := tc.event(c.Host); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, c.dump()); diff != "" {
				t.Errorf("afterwards (-want +got):\n%s", diff)
			}
			if c.name == "" || c.OpenHandles("test") != 0 && tc.want == rebooted {
				t.Errorf("%d handles survived", c.OpenHandles("test"))
			}
		})
	}
}

// TestDegraded: a policy that a lax release accepts breaks the container's start
// (containerd#5729).
func TestDegraded(t *testing.T) {
	c := newClient(t, "2019")
	e := c.createEndpoint(c.network("NAT", "n"), with("OutBoundNAT", `{"Exceptions":["<your service cidr>"]}`))
	fine := c.createEndpoint(c.enumerate("Networks", "")[0], with("OutBoundNAT", `{"Exceptions":["172.17.0.1/16","10.0.0.1"]}`))
	s, t2 := c.create("Namespace", `{}`), c.create("Namespace", `{}`)
	c.attach(s, e)
	c.attach(t2, fine)
	err := c.StartContainer(Container{ID: "c", NamespaceID: s})
	if got := asError(err).Code; got != schema.CodeAttachFailed {
		t.Errorf("start: %v", err)
	}
	c.expect("afterwards", s, 0, e, schema.StateDegraded)
	c.start(Container{ID: "d", NamespaceID: t2})
}
