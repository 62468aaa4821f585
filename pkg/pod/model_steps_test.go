// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// stepKind is a kind of steps that a walk can take.
type stepKind struct {
	name   string
	weight int
	// take returns what came of it, for the trace.
	take func(w *walk) string
}

// stepKinds are those of a runtime, then those of HNS and of the node's other
// inhabitants.
var stepKinds = []stepKind{
	{"ADD", 28, (*walk).stepAdd},
	{"DEL", 10, (*walk).stepDel},
	{"DEL without CNI_NETNS", 3, (*walk).stepDelWithoutNetNS},
	{"CHECK", 10, (*walk).stepCheck},
	{"GC", 4, (*walk).stepGC},
	{"STATUS", 3, (*walk).stepStatus},
	{"make a namespace", 12, (*walk).stepNamespace},
	{"start a container", 4, (*walk).stepStart},
	{"stop a container", 3, (*walk).stepStop},
	{"fault", 10, (*walk).stepFault},
	{"HNS is well again", 10, (*walk).stepWell},
	{"HNS stops", 1, (*walk).stepStopService},
	{"HNS restarts", 1, (*walk).stepRestartService},
	{"the node reboots", 1, (*walk).stepReboot},
	{"an admin deletes network", 1, (*walk).stepDeleteNetwork},
	{"an admin deletes endpoint", 2, (*walk).stepDeleteEndpoint},
	{"an admin detaches endpoint", 2, (*walk).stepDetach},
	{"an admin strips endpoint", 2, (*walk).stepStrip},
	{"namespace is deleted", 2, (*walk).stepDeleteNamespace},
	{"another agent makes endpoint", 5, (*walk).stepOther},
	{"the end", 0, (*walk).stepEnd},
}

// endOfAll is the kind of the last step.
var endOfAll = slices.IndexFunc(stepKinds, func(k stepKind) bool { return k.name == "the end" })

// some returns one of the claims.
func (w *walk) some() *claim { return w.claims[w.choose(len(w.claims))] }

func (w *walk) stepAdd() string {
	c := w.some()
	return c.String() + w.verdict(w.add(c))
}

func (w *walk) stepDel() string {
	c := w.some()
	return c.String() + w.verdict(w.del(c))
}

func (w *walk) stepDelWithoutNetNS() string {
	c := w.some()
	return c.String() + w.verdict(w.delFrom(c, ""))
}

func (w *walk) stepCheck() string {
	var added []*claim
	for _, c := range w.claims {
		if c.result.Endpoint.ID != "" {
			added = append(added, c)
		}
	}
	if len(added) == 0 {
		return "of nothing"
	}
	c := added[w.choose(len(added))]
	return c.String() + w.verdict(w.check(c))
}

func (w *walk) stepGC() string {
	c := w.some()
	var valid []*claim
	bits := w.choose(1 << len(w.claims))
	var names []string
	for i, v := range w.claims {
		if bits>>i&1 == 1 {
			valid = append(valid, v)
			if v.Name == c.Name {
				names = append(names, v.String())
			}
		}
	}
	return fmt.Sprintf("of %s, valid are [%s]", c.Name, strings.Join(names, ", ")) + w.verdict(w.gc(c, valid...))
}

func (w *walk) stepStatus() string {
	c := w.some()
	return "of " + c.Name + w.verdict(w.status(c))
}

func (w *walk) stepNamespace() string {
	id := podNamespace(w.choose(pods))
	return w.disturb(id, func(ctx context.Context) error {
		_, err := w.admin.CreateNamespace(ctx, id)
		return err
	})
}

func (w *walk) stepStart() string {
	s := w.state()
	if len(s.Namespaces) == 0 {
		return "nowhere"
	}
	c := hnsemu.Container{
		ID: fmt.Sprint("container", w.choose(4)), NamespaceID: s.Namespaces[w.choose(len(s.Namespaces))].ID,
		Isolation: []hns.Isolation{hns.Process, hns.HyperV}[w.choose(2)], Leaks: w.choose(8) == 0,
	}
	return w.disturb(fmt.Sprintf("%+v", c), func(context.Context) error { return w.host.StartContainer(c) })
}

func (w *walk) stepStop() string {
	id := fmt.Sprint("container", w.choose(4))
	return w.disturb(id, func(context.Context) error { return w.host.StopContainer(id) })
}

// stepFault arms a fault, half of them at the few calls that change anything. One
// that acts on every call lasts until HNS is well again.
func (w *walk) stepFault() string {
	kinds := sweepFaults()
	f := kinds[w.choose(len(kinds))].Fault
	f.Nth = 1 + w.choose(40)
	f.Every = f.Every && w.choose(4) == 0
	if w.choose(2) == 0 {
		f.Proc = changingProcs[w.choose(len(changingProcs))]
		f.Nth = 1 + f.Nth%3
	}
	f.Client = "test"
	if err := w.host.AddFault(f); err != nil {
		w.Fatal(err)
	}
	return strings.TrimSpace(fmt.Sprintf("%s at call %d from now %s", sweepFault{Fault: f}, f.Nth, f.Proc))
}

var changingProcs = []string{
	"HcnCreateNetwork", "HcnCreateEndpoint", "HcnCreateNamespace", "HcnModifyNamespace", "HcnDeleteEndpoint", "HcnDeleteNamespace",
}

func (w *walk) stepWell() string {
	w.recover()
	return ""
}

func (w *walk) stepStopService() string {
	return w.disturb("", func(context.Context) error { return w.host.StopService() })
}

func (w *walk) stepRestartService() string {
	return w.disturb("", func(context.Context) error { return w.host.RestartService() })
}

func (w *walk) stepReboot() string {
	return w.disturb("", func(context.Context) error { return w.host.Reboot() })
}

func (w *walk) stepDeleteNetwork() string {
	name := fmt.Sprint("net", 1+w.choose(2))
	return w.disturb(name, func(ctx context.Context) error {
		n, err := w.admin.Network(ctx, name)
		if err != nil {
			return err
		}
		return w.admin.DeleteNetwork(ctx, n.ID)
	})
}

func (w *walk) stepDeleteEndpoint() string {
	return w.onEndpoint(func(ctx context.Context, e hnsemu.EndpointState) error { return w.admin.DeleteEndpoint(ctx, e.ID) })
}

func (w *walk) stepDetach() string {
	return w.onEndpoint(func(ctx context.Context, e hnsemu.EndpointState) error {
		return w.admin.Detach(ctx, e.NamespaceID, e.ID)
	})
}

// stepStrip leaves an endpoint as a killed ADD may: in no namespace and without
// what was to be programmed.
func (w *walk) stepStrip() string {
	return w.onEndpoint(func(ctx context.Context, e hnsemu.EndpointState) error {
		if err := w.admin.Detach(ctx, e.NamespaceID, e.ID); err != nil {
			return err
		}
		return w.admin.SetPolicies(ctx, e.ID, nil)
	})
}

// onEndpoint does something to one of Bulkhead's endpoints, if there is one.
func (w *walk) onEndpoint(do func(context.Context, hnsemu.EndpointState) error) string {
	ours := slices.DeleteFunc(w.state().Endpoints, func(e hnsemu.EndpointState) bool { return w.byName(e) == nil })
	if len(ours) == 0 {
		return "none"
	}
	e := ours[w.choose(len(ours))]
	return w.disturb(e.Name+" on "+e.NetworkName, func(ctx context.Context) error { return do(ctx, e) })
}

func (w *walk) stepDeleteNamespace() string {
	s := w.state()
	if len(s.Namespaces) == 0 {
		return "none"
	}
	id := s.Namespaces[w.choose(len(s.Namespaces))].ID
	return w.disturb(id, func(ctx context.Context) error { return w.admin.DeleteNamespace(ctx, id) })
}

// stepOther makes an endpoint that Bulkhead must leave alone: kube-proxy's remote
// one, that of the host, or another plugin's, maybe in a pod's namespace and maybe
// with an address that IPAM believes to be free.
func (w *walk) stepOther() string {
	third := 1 + w.choose(2)
	w.strangers++
	name := fmt.Sprint("net", third)
	e := []hns.Endpoint{
		{Name: "remote_" + name, MAC: hns.MAC(fmt.Sprintf("00:15:5d:99:00:%02x", w.strangers)), Remote: true},
		{Name: name + "_ep"},
		{Name: "0a1b2c3d-eth0"},
	}[w.choose(3)]
	at := fmt.Sprintf("10.%d.9.%d/16", third, w.strangers)
	if near := 10 + w.choose(12); !e.Remote && w.choose(2) == 0 {
		at = fmt.Sprintf("10.%d.0.%d/16", third, near)
	}
	e.Addresses = []netip.Prefix{netip.MustParsePrefix(at)}
	return w.disturb(e.Name+" with "+at, func(ctx context.Context) error {
		n, err := w.admin.Network(ctx, name)
		if err != nil {
			return err
		}
		e.NetworkID = n.ID
		return w.makeOther(ctx, e)
	})
}

// makeOther makes an endpoint that is not Bulkhead's, in a namespace if it is a
// plugin's.
func (w *walk) makeOther(ctx context.Context, want hns.Endpoint) error {
	if _, err := w.admin.CreateEndpoint(ctx, want); err != nil {
		return err
	}
	// HNS may have given it another id.
	named, err := w.admin.EndpointsNamed(ctx, want.Name)
	i := slices.IndexFunc(named, func(e hns.Endpoint) bool {
		return e.NetworkID == want.NetworkID && slices.Equal(e.Addresses, want.Addresses)
	})
	if i < 0 {
		w.Fatalf("the endpoint %s with %v is not among %+v (%v)", want.Name, want.Addresses, named, err)
	}
	made := named[i]
	w.others[made.ID] = hnsemu.EndpointState{}
	if !strings.HasSuffix(want.Name, "-eth0") {
		return nil
	}
	return w.admin.Attach(ctx, podNamespace(w.choose(pods)), made.ID)
}

// disturb does what is not Bulkhead's doing.
func (w *walk) disturb(what string, do func(context.Context) error) string {
	err := do(context.Background())
	w.lookAgain()
	if err != nil {
		return what + ": " + err.Error()
	}
	return what
}

func (w *walk) stepEnd() string {
	w.end()
	return ""
}
