// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"slices"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// StartContainer starts a container in a namespace: the namespace gets its
// compartment, and the endpoints get their interfaces
// (microsoft/Windows-Containers#401). The error is the one that the Host
// Compute Service would report.
func (h *Host) StartContainer(c Container) error {
	defer h.changed()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.startContainer(c); err != nil {
		return &hns.Error{Op: "start container", Object: c.ID, Code: schema.CodeOf(err), Err: err}
	}
	return nil
}

// startContainer attaches a container to its namespace, as the Host Compute
// Service asks HNS to.
func (h *Host) startContainer(c Container) error {
	switch c.Isolation {
	case "":
		c.Isolation = hns.Process
	case hns.Process, hns.HyperV:
	default:
		return schema.Errorf(schema.CodeInvalidParameter, "isolation %q", c.Isolation)
	}
	if c.ID == "" || h.store.containers[c.ID] != nil {
		return schema.Errorf(hns.CodeObjectExists, "container %q runs already or has no id", c.ID)
	}
	if h.stopped {
		return schema.Errorf(hns.CodeServiceNotActive, "the service is stopped")
	}
	id, err := hns.ParseGUID(c.NamespaceID)
	if err != nil {
		return schema.Errorf(schema.CodeInvalidParameter, "%v", err)
	}
	o := h.store.find(namespaceClass, id)
	if o == nil {
		return schema.Errorf(hns.CodeNotFound, "no namespace %s", id)
	}
	s := o.(*namespace)
	if err := h.checkStart(s); err != nil {
		return err
	}
	s.addContainer(h, member{c.ID, c.Isolation})
	h.store.containers[c.ID] = &container{c, s}
	return nil
}

// checkStart refuses to start a container for what HNS accepted before.
func (h *Host) checkStart(s *namespace) error {
	if h.profile.ReattachFails && s.used && len(s.containers) == 0 {
		return schema.Errorf(schema.CodeAttachFailed, "namespace %s was used before", s.id)
	}
	for _, e := range s.endpoints {
		if slices.ContainsFunc(e.Policies, schema.Policy.Broken) {
			e.state = schema.StateDegraded
			return schema.Errorf(schema.CodeAttachFailed, "endpoint %q has a policy that does not work", e.name)
		}
	}
	return nil
}

// StopContainer ends a container. HNS does not notice when it is stopped or
// when the container leaks: the id stays in the namespace, and the endpoints
// look attached (microsoft/Windows-Containers#485 and #631).
func (h *Host) StopContainer(id string) error {
	defer h.changed()
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.store.containers[id]
	if c == nil {
		return fmt.Errorf("stop container %q: it does not run", id)
	}
	delete(h.store.containers, id)
	if h.stopped || c.Leaks || !c.namespace.has(id) {
		return nil
	}
	return c.namespace.removeContainer(id)
}

// StopService stops HNS. Calls that hang are cut off, and handles are dead.
func (h *Host) StopService() error {
	defer h.changed()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stop()
	return nil
}

// stop ends the service: hanging calls are cut off, and handles are dead.
func (h *Host) stop() {
	h.stopped = true
	h.run++
	h.release("", true)
	h.store.handles = deadHandles(h.store.handles)
}

// deadHandles returns the handles bound to an object that is gone: calls
// through them answer 0x803b0031. What HNS answers is not documented.
func deadHandles(handles map[uint64]handle) map[uint64]handle {
	dead := map[uint64]handle{}
	for n, opened := range handles {
		dead[n] = handle{opened.client, opened.class, &network{base: base{gone: true}}}
	}
	return dead
}

// StartService starts HNS, which still has what its release keeps.
func (h *Host) StartService() error {
	defer h.changed()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		h.start()
	}
	return nil
}

// start starts the service. Some releases lose the endpoints
// (docker/for-win#12425, projectcalico/calico#5164) and the networks that are
// non-persistent then. Namespaces stay.
func (h *Host) start() {
	h.stopped = false
	if h.profile.RestartKeepsEndpoints {
		return
	}
	h.forgetNetworks(func(n *network) bool { return n.Flags&schema.FlagNonPersistent != 0 })
	h.forgetEndpoints()
}

// RestartService stops and starts HNS.
func (h *Host) RestartService() error {
	defer h.changed()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stop()
	h.start()
	return nil
}

// Reboot restarts the node. Nat networks are gone then since Windows Server
// 2019 (Microsoft, "Windows container network drivers"), and so are
// non-persistent networks. Other networks stay; endpoints are gone.
func (h *Host) Reboot() error {
	defer h.changed()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stop()
	h.stopped = false
	h.store.handles = map[uint64]handle{}
	h.store.containers = map[string]*container{}
	h.store.managed = nil
	for _, s := range all[*namespace](&h.store, namespaceClass) {
		s.containers = nil
		for _, e := range s.endpoints {
			e.namespace = nil
		}
		h.store.remove(namespaceClass, s)
	}
	h.forgetNetworks(func(n *network) bool {
		return n.Type == schema.TypeNAT || n.Type == schema.TypeICS || n.Flags&schema.FlagNonPersistent != 0
	})
	if !h.unknowns.EndpointsSurviveReboot {
		h.forgetEndpoints()
	}
	for _, e := range all[*endpoint](&h.store, endpointClass) {
		e.state, e.system, e.shared = schema.StateCreated, "", nil
	}
	return nil
}

// forgetNetworks removes networks with everything on them.
func (h *Host) forgetNetworks(gone func(*network) bool) {
	for _, n := range all[*network](&h.store, networkClass) {
		if !gone(n) {
			continue
		}
		for _, e := range n.endpoints(h) {
			h.drop(e)
		}
		h.store.remove(networkClass, n)
	}
}

// forgetEndpoints removes all endpoints, load balancers and SDN routes.
func (h *Host) forgetEndpoints() {
	for _, e := range all[*endpoint](&h.store, endpointClass) {
		if s := e.namespace; s != nil && s.compartment != 0 {
			s.lost = append(s.lost, e.snapshot())
		}
		h.drop(e)
	}
	for _, c := range []*class{balancerClass, routeClass} {
		for _, o := range slices.Clone(h.store.objects[c]) {
			h.store.remove(c, o)
		}
	}
}
