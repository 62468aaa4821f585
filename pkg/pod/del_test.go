// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// write spoils one of host-local's files.
func (n *node) write(file, content string) {
	n.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, "net1", file), []byte(content), 0o600); err != nil {
		n.Fatal(err)
	}
}

func TestDelStates(t *testing.T) {
	tests := []struct {
		name    string
		between func(n *node, a *config.Config, r pod.Result)
	}{
		{"netns empty", func(_ *node, a *config.Config, _ pod.Result) { a.NetNS = "" }},
		{"namespace gone", func(n *node, a *config.Config, _ pod.Result) {
			if err := n.hns.DeleteNamespace(context.Background(), a.NetNS); err != nil {
				n.Fatal(err)
			}
		}},
		{"network gone", func(n *node, _ *config.Config, r pod.Result) {
			if err := n.hns.DeleteNetwork(context.Background(), r.Endpoint.NetworkID); err != nil {
				n.Fatal(err)
			}
		}},
		{"endpoint gone", func(n *node, _ *config.Config, r pod.Result) {
			if err := n.hns.DeleteEndpoint(context.Background(), r.Endpoint.ID); err != nil {
				n.Fatal(err)
			}
		}},
		{"node rebooted", func(n *node, a *config.Config, _ pod.Result) {
			if err := n.host.Reboot(); err != nil {
				n.Fatal(err)
			}
			a.NetNS = ""
		}},
		{"DEL done before", func(n *node, a *config.Config, _ pod.Result) { n.mustDel(*a) }},
		{"HNS restarted", func(n *node, _ *config.Config, _ pod.Result) {
			if err := n.host.RestartService(); err != nil {
				n.Fatal(err)
			}
		}},
		{"address file empty", func(n *node, _ *config.Config, _ pod.Result) { n.write("10.1.0.10", "") }},
		{"address file cut off", func(n *node, _ *config.Config, _ pod.Result) { n.write("10.1.0.10", "c1\r\n") }},
		{"last reservation corrupt", func(n *node, _ *config.Config, _ pod.Result) { n.write("last_reserved_ip.0", "\x00\x01") }},
		{"address file gone", func(n *node, _ *config.Config, _ pod.Result) {
			if err := os.Remove(filepath.Join(n.dir, "net1", "10.1.0.10")); err != nil {
				n.Fatal(err)
			}
		}},
		{"all address files gone", func(n *node, _ *config.Config, _ pod.Result) {
			if err := os.RemoveAll(n.dir); err != nil {
				n.Fatal(err)
			}
		}},
		{"driver, ranges and ACLs changed in the configuration", func(n *node, a *config.Config, _ pod.Result) {
			*a = n.configured(fmt.Sprintf(`"driver":"overlay","acl":{"program":false},"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.9.0.0/16"}]]}`, n.dir),
				a.ContainerID, a.NetNS)
		}},
		{"two endpoints of the name", func(n *node, _ *config.Config, r pod.Result) {
			if _, err := n.hns.CreateEndpoint(context.Background(), hns.Endpoint{Name: r.Endpoint.Name, NetworkID: r.Endpoint.NetworkID}); err != nil {
				n.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, "2022")
			n.namespace(netns1)
			a := n.attachment(hns.L2Bridge, "c1", netns1)
			r := n.mustAdd(a)
			tt.between(n, &a, r)
			if err := n.del(a); err != nil {
				t.Fatal(err)
			}
			n.nothingLeft("after DEL")
		})
	}
}

func TestDelBeforeAdd(t *testing.T) {
	n := newNode(t, "2022")
	n.mustDel(n.attachment(hns.L2Bridge, "c1", netns1))
	n.nothingLeft("after DEL")
}

// While HNS cannot say that the endpoint is gone, its address stays reserved.
func TestDelKeepsTheAddressOfALiveEndpoint(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.attachment(hns.L2Bridge, "c1", netns1)
	n.mustAdd(a)
	for _, f := range []hnsemu.Fault{
		{Proc: "HcnEnumerateEndpoints", Code: 0x80004005},
		{Proc: "HcnDeleteEndpoint", Code: 0x80004005},
		// It says that there is none, but there is.
		{Proc: "HcnDeleteEndpoint", Code: 0x80070490},
	} {
		f.Nth, f.Kind = 1, hnsemu.FaultFail
		if err := n.host.AddFault(f); err != nil {
			t.Fatal(err)
		}
		if err := n.del(a); err == nil {
			t.Fatalf("DEL succeeded although %s failed", f.Proc)
		}
		if got := n.addresses(); len(got) != 1 {
			t.Fatalf("%s failed, but the address was freed", f.Proc)
		}
	}
	if err := n.host.ClearFaults(); err != nil {
		t.Fatal(err)
	}
	n.mustDel(a)
	n.nothingLeft("after DEL")
}

// Forty DELs of one container at once all succeed.
func TestDelFortyAtOnce(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	a := n.attachment(hns.Overlay, "c1", netns1)
	n.mustAdd(a)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if err := n.del(a); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n.nothingLeft("after forty DELs")
}

// overtaken carries out a DEL at a moment of an ADD.
type overtaken struct {
	hns.Client
	del           func()
	before, after bool
}

func (o overtaken) CreateEndpoint(ctx context.Context, want hns.Endpoint) (string, error) {
	if o.before {
		o.del()
	}
	id, err := o.Client.CreateEndpoint(ctx, want)
	if o.after {
		o.del()
	}
	return id, err
}

func (o overtaken) Attach(ctx context.Context, namespaceID, endpointID string) error {
	err := o.Client.Attach(ctx, namespaceID, endpointID)
	if !o.before && !o.after {
		o.del()
	}
	return err
}

// A DEL that comes while the ADD still runs wins: the ADD fails, and nothing is
// left that nobody will ever delete.
func TestDelOvertakesAdd(t *testing.T) {
	for _, at := range []overtaken{{before: true}, {after: true}, {}} {
		t.Run(fmt.Sprintf("before create %v, after create %v", at.before, at.after), func(t *testing.T) {
			n := newNode(t, "2022")
			n.namespace(netns1)
			a := n.attachment(hns.L2Bridge, "c1", netns1)
			plain := n.hns
			at.Client = n.hns
			at.del = func() {
				if err := (pod.Verbs{HNS: plain, IPAM: ipam.Open("host-local"), Lock: n.lock}).Del(context.Background(), a); err != nil {
					t.Error(err)
				}
			}
			n.hns = at
			if _, err := n.add(a); err == nil {
				t.Error("the ADD succeeded")
			} else if at.before && !errors.Is(err, ipam.ErrReleased) {
				t.Errorf("got %v, want ErrReleased", err)
			}
			n.hns = plain
			n.nothingLeft("after both")
		})
	}
}

// pausing lets an ADD run when a DEL has looked for endpoints so many times.
type pausing struct {
	hns.Client
	looks, at int
	add       func()
}

func (p *pausing) EndpointsNamed(ctx context.Context, name string) ([]hns.Endpoint, error) {
	found, err := p.Client.EndpointsNamed(ctx, name)
	if p.looks++; p.looks == p.at {
		p.add()
	}
	return found, err
}

// An ADD that does all its work between two steps of a DEL that overtakes it has
// no endpoint without a reservation afterwards.
func TestAddInsideDel(t *testing.T) {
	for at := 1; at <= 2; at++ {
		t.Run(fmt.Sprintf("after look %d", at), func(t *testing.T) {
			n := newNode(t, "2022")
			n.namespace(netns1)
			a := n.attachment(hns.L2Bridge, "c1", netns1)
			plain := n.hns
			p := &pausing{Client: plain, at: at, add: func() {
				if _, err := (pod.Verbs{HNS: plain, IPAM: ipam.Open("host-local"), Lock: n.lock}).Add(context.Background(), a); err != nil {
					t.Error(err)
				}
			}}
			n.hns = p
			n.mustDel(a)
			n.hns = plain
			if p.looks < at {
				t.Fatalf("DEL looked %d times", p.looks)
			}
			if at == 1 {
				n.nothingLeft("after both")
				return
			}
			if got := n.reserved(a.Name); len(got) != 1 {
				t.Errorf("IPAM holds %v for the endpoint", got)
			}
			n.mustDel(a)
			n.nothingLeft("after the next DEL")
		})
	}
}

// The networks of a pod are deleted one by one.
func TestDelOfOneNetwork(t *testing.T) {
	n := newNode(t, "2022")
	n.namespace(netns1)
	first := n.attachment(hns.L2Bridge, "c1", netns1)
	second := n.named("net2", `"driver":"l2bridge",`+n.numbered(hns.L2Bridge, 2), "c1", netns1)
	r := n.mustAdd(first)
	n.mustAdd(second)
	n.mustDel(second)
	n.attached(first, r)
	if got := n.reserved("net2"); len(got) > 0 {
		t.Errorf("IPAM holds %v on net2", got)
	}
	n.mustDel(first)
	n.nothingLeft("after both DELs")
}

// careful is an HNS on which nobody deletes an endpoint that is attached.
type careful struct {
	hns.Client
	*node
}

func (c careful) DeleteEndpoint(ctx context.Context, id string) error {
	e, err := c.Endpoint(ctx, id)
	if err != nil || e.NamespaceID != "" {
		c.Errorf("delete endpoint %s in namespace %q, %v", e.Name, e.NamespaceID, err)
	}
	return c.Client.DeleteEndpoint(ctx, id)
}

// detachedOddly is an HNS that answers otherwise when an endpoint is not in the
// namespace that it is to be taken out of: no source says how.
type detachedOddly struct {
	hns.Client
	answer error
}

func (d detachedOddly) Detach(ctx context.Context, namespaceID, endpointID string) error {
	if e, err := d.Endpoint(ctx, endpointID); err == nil && e.NamespaceID != namespaceID {
		return d.answer
	}
	return d.Client.Detach(ctx, namespaceID, endpointID)
}

// An endpoint is detached before it is deleted, whatever CNI_NETNS says: nobody has
// seen what Windows does with one that is deleted while it is attached.
func TestDelDetachesBefore(t *testing.T) {
	for name, answer := range map[string]error{
		"success": nil, "not found": &hns.Error{Code: hns.CodeNotFound}, "another": &hns.Error{Code: 0x80070057},
	} {
		for _, netns := range []string{netns1, netns2, "none", "", "container:other"} {
			t.Run(fmt.Sprintf("%s in %s", name, netns), func(t *testing.T) {
				n := newNode(t, "2022")
				n.namespace(netns1)
				n.namespace(netns2)
				a := n.attachment(hns.L2Bridge, "c1", netns1)
				n.mustAdd(a)
				real := n.hns
				n.hns = careful{detachedOddly{real, answer}, n}
				a.NetNS = netns
				err := n.del(a)
				n.hns = real
				if err != nil {
					t.Error(err)
				}
				n.nothingLeft("after DEL")
			})
		}
	}
}
