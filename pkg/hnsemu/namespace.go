// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// stateRefused is the state of a namespace whose deletion was refused
// (microsoft/Windows-Containers#485).
const stateRefused = 4

// hostCompartment is the compartment of the node itself.
const hostCompartment = 1

// namespace is a network namespace. It gets a compartment when a container
// needs one.
type namespace struct {
	base
	// kind is one of namespaceTypes.
	kind string
	// compartment is 0 until a container starts
	// (microsoft/Windows-Containers#401).
	compartment uint32
	// keepsCompartment is true when the client asked for a compartment at
	// creation.
	keepsCompartment bool
	endpoints        []*endpoint
	// containers are those that HNS takes to be there.
	containers []member
	// used is true when a container has left the namespace empty.
	used bool
	// lost are endpoints that HNS lost when it restarted: their interfaces stay in the
	// compartment.
	lost []EndpointState
}

// member is a container that is in a namespace.
type member struct {
	id        string
	isolation hns.Isolation
}

// isDefault reports whether the namespace is the node's own compartment.
func (s *namespace) isDefault() bool { return s.kind == schema.NamespaceHostDefault }

// property returns the v1 property that a query filter names.
func (s *namespace) property(key string) (string, bool) {
	if key == "CompartmentId" {
		return itoa(s.compartment), true
	}
	return "", false
}

// createNamespace is HcnCreateNamespace. It ignores the NamespaceId that
// hcsshim's tests send: that is the compartment, which HNS chooses.
func createNamespace(h *Host, id, settings string) (object, error) {
	var doc schema.NamespaceDoc
	if err := schema.Decode(settings, &doc); err != nil {
		return nil, err
	}
	if err := schema.CheckID(doc.ID); err != nil {
		return nil, err
	}
	b, err := h.chooseID(namespaceClass, id, doc.ID)
	if err != nil {
		return nil, err
	}
	kind, err := doc.TypeName()
	if err != nil {
		return nil, err
	}
	s := &namespace{base: b, kind: kind, keepsCompartment: doc.CreateWithCompartment}
	switch {
	case s.isDefault():
		s.compartment = hostCompartment
	case s.keepsCompartment:
		s.compartment = h.freeCompartment()
	}
	h.store.add(namespaceClass, s)
	return s, nil
}

// freeCompartment returns the lowest number that no namespace has.
func (h *Host) freeCompartment() uint32 {
	used := map[uint32]bool{}
	for _, s := range all[*namespace](&h.store, namespaceClass) {
		used[s.compartment] = true
	}
	n := uint32(hostCompartment + 1)
	for used[n] {
		n++
	}
	return n
}

// removeNamespace is HcnDeleteNamespace. A container in the namespace makes it
// fail (microsoft/Windows-Containers#485). Endpoints in it stay and are in no
// namespace then; containerd deletes namespaces with endpoints after a failed
// CNI DEL.
func removeNamespace(h *Host, o object) error {
	s := o.(*namespace)
	if len(s.containers) > 0 {
		s.state = stateRefused
		return schema.Errorf(schema.CodeUnsupported, "container %s is in the namespace", s.containers[0].id)
	}
	for _, e := range slices.Clone(s.endpoints) {
		s.drop(e)
	}
	h.store.remove(namespaceClass, s)
	return nil
}

// modifyNamespace is HcnModifyNamespace.
func modifyNamespace(h *Host, o object, text string) error {
	s := o.(*namespace)
	resource, request, settings, err := schema.ParseModify(text, "Container", "Endpoint")
	if err != nil {
		return err
	}
	var doc schema.ResourceRequest
	if err := schema.Decode(string(settings), &doc); err != nil {
		return err
	}
	id := doc.EndpointID
	if resource == "Container" {
		id = doc.ContainerID
	}
	return s.modify(h, resource, request, id)
}

// modify adds or removes a resource.
func (s *namespace) modify(h *Host, resource, request, id string) error {
	if request != "Add" && request != "Remove" {
		return schema.Errorf(schema.CodeUnsupported, "%s of a namespace resource", request)
	}
	if resource == "Container" {
		if id == "" {
			return schema.Errorf(schema.CodeInvalidParameter, "container without an id")
		}
		if request == "Add" {
			s.addContainer(h, member{id, hns.Process})
			return nil
		}
		return s.removeContainer(id)
	}
	e, err := h.findEndpoint(id)
	if err != nil {
		return err
	}
	if request == "Add" {
		return s.addEndpoint(h, e)
	}
	return s.removeEndpoint(e)
}

// addEndpoint puts an endpoint into the namespace.
func (s *namespace) addEndpoint(h *Host, e *endpoint) error {
	switch {
	case e.Remote():
		return schema.Errorf(schema.CodeNotLocal, "endpoint %q is remote", e.name)
	case e.system != "":
		return schema.Errorf(schema.CodeAlreadyAttached, "endpoint %q is attached by v1", e.name)
	case e.namespace == s && !h.unknowns.ReAddFails:
		return nil
	case e.namespace != nil:
		return schema.Errorf(hns.CodeEndpointInANetns, "endpoint %q is in namespace %s", e.name, e.namespace.id)
	}
	e.namespace = s
	s.endpoints = append(s.endpoints, e)
	switch {
	case len(s.containers) > 0:
		// HNS adds the interface to a running container (hcsshim,
		// hcn/hcnnamespace.go, Sync).
		e.state = attachedState(s.containers[0].isolation)
	case s.isDefault(), h.unknowns.AttachedOnAdd:
		e.state = schema.StateAttached
	}
	return nil
}

// removeEndpoint takes an endpoint out of the namespace.
func (s *namespace) removeEndpoint(e *endpoint) error {
	if e.namespace != s {
		return schema.Errorf(hns.CodeNotFound, "endpoint %q is not in namespace %s", e.name, s.id)
	}
	s.drop(e)
	return nil
}

// drop takes an endpoint out, whatever its state.
func (s *namespace) drop(e *endpoint) {
	s.endpoints = withoutEndpoint(s.endpoints, e)
	e.namespace = nil
	e.detached()
}

// detached notes that the endpoint's container or namespace is gone.
func (e *endpoint) detached() {
	if e.state == schema.StateAttached || e.state == schema.StateAttachedSharing {
		e.state = schema.StateDetached
	}
}

// attachedState returns the state of an endpoint in use. Azure's NPM expects 3
// for process isolation and 2 for Hyper-V
// (npm/pkg/dataplane/dataplane_windows.go).
func attachedState(isolation hns.Isolation) uint16 {
	if isolation == hns.HyperV {
		return schema.StateAttached
	}
	return schema.StateAttachedSharing
}

// addContainer puts a container into the namespace, which gets its compartment
// then. It is no error when the container is there already.
func (s *namespace) addContainer(h *Host, m member) {
	if s.has(m.id) {
		return
	}
	s.containers = append(s.containers, m)
	if s.compartment == 0 {
		s.compartment = h.freeCompartment()
	}
	for _, e := range s.endpoints {
		e.state = attachedState(m.isolation)
	}
}

// has reports whether a container is in the namespace.
func (s *namespace) has(container string) bool {
	return slices.ContainsFunc(s.containers, func(m member) bool { return m.id == container })
}

// removeContainer takes a container out. The compartment goes with the last one.
func (s *namespace) removeContainer(id string) error {
	if !s.has(id) {
		return schema.Errorf(hns.CodeNotFound, "container %q is not in namespace %s", id, s.id)
	}
	s.containers = slices.DeleteFunc(s.containers, func(m member) bool { return m.id == id })
	if len(s.containers) > 0 {
		return nil
	}
	s.used = true
	if !s.isDefault() && !s.keepsCompartment {
		s.compartment, s.lost = 0, nil
	}
	if !s.isDefault() {
		for _, e := range s.endpoints {
			e.detached()
		}
	}
	return nil
}

// resources lists the endpoints and the containers.
func (s *namespace) resources() []schema.Resource {
	var docs []schema.Resource
	for _, e := range s.endpoints {
		docs = append(docs, schema.NewResource("Endpoint", e.upperID()))
	}
	for _, m := range s.containers {
		docs = append(docs, schema.NewResource("Container", m.id))
	}
	return docs
}

// v2 returns the namespace in the v2 schema.
func (s *namespace) v2(*Host) any {
	return schema.NamespaceV2{
		ID: s.id, Compartment: s.compartment, Type: s.kind,
		Resources: s.resources(), State: s.state, SchemaVersion: schema.V2,
	}
}

// v1 returns the namespace in the v1 schema.
func (s *namespace) v1(h *Host) any {
	ids := []string{}
	for _, m := range s.containers {
		ids = append(ids, m.id)
	}
	doc := schema.NamespaceV1{
		ID: s.upperID(), CompartmentID: s.compartment, IsDefault: s.isDefault(), Containers: ids,
		ResourceList: []schema.Resource{}, Policies: []json.RawMessage{}, State: s.state, Version: schema.VersionNumber(h.profile.Version),
	}
	doc.ResourceList = append(doc.ResourceList, s.resources()...)
	if s.compartment != 0 {
		doc.CompartmentGUID = strings.ToUpper(s.id)
	}
	return doc
}
