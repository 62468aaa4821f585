// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// object is a network, an endpoint, a namespace, a load balancer or a route.
type object interface {
	common() *base
	// property returns the v1 property that a query filter names.
	property(key string) (string, bool)
	// v1 and v2 return the document that a query of that schema is answered with.
	v1(h *Host) any
	v2(h *Host) any
}

// base is what all objects share.
type base struct {
	id string
	// named is true when the client chose the id.
	named bool
	name  string
	state uint16
	// gone is set when the object is deleted; handles to it live on.
	gone bool
}

// common returns what all objects share.
func (b *base) common() *base { return b }

// upperID is the id as v1 documents and the resources of namespaces have it
// (microsoft/windows-container-networking, test/utilities).
func (b *base) upperID() string { return strings.ToUpper(b.id) }

// handle is what Open and Create give to a client. It refers to the object and
// not to the id: a new object under an old id is another one.
type handle struct {
	client string
	class  *class
	object object
}

// store holds the objects and the handles.
type store struct {
	// objects are in the order of their creation.
	objects map[*class][]object
	// byID holds them by class and id.
	byID       map[string]object
	handles    map[uint64]handle
	lastHandle uint64
	// containers are those that run, whether HNS knows of them or not.
	containers map[string]*container
	managed    []schema.ManagementMAC
}

// container is one that runs, as the compute service knows it.
type container struct {
	Container
	namespace *namespace
}

// newStore returns a store with nothing in it.
func newStore() store {
	return store{
		objects:    map[*class][]object{},
		byID:       map[string]object{},
		handles:    map[uint64]handle{},
		containers: map[string]*container{},
	}
}

// add puts an object where calls can find it.
func (s *store) add(c *class, o object) {
	s.objects[c] = append(s.objects[c], o)
	s.byID[c.name+o.common().id] = o
}

// remove takes an object away. Handles to it stay open, and calls through them
// answer that it was torn down.
func (s *store) remove(c *class, o object) {
	o.common().gone = true
	s.objects[c] = slices.DeleteFunc(s.objects[c], func(other object) bool { return other == o })
	delete(s.byID, c.name+o.common().id)
}

// find returns the object with that id, which must be normalised, or nil.
func (s *store) find(c *class, id string) object { return s.byID[c.name+id] }

// issue returns a new handle.
func (s *store) issue(client string, c *class, o object) uint64 {
	s.lastHandle += 16
	s.handles[s.lastHandle] = handle{client, c, o}
	return s.lastHandle
}

// resolve returns the object behind a handle that the client got for that class.
func (s *store) resolve(client string, c *class, text string) (object, error) {
	n, err := parseHandle(text)
	if err != nil {
		return nil, err
	}
	found, ok := s.handles[n]
	if !ok || found.client != client || found.class != c {
		return nil, schema.Errorf(hns.CodeInvalidHandle, "%s is not a %s handle of client %q", text, c.name, client)
	}
	if found.object.common().gone {
		return nil, schema.Errorf(hns.CodeTornDown, "%s %s was deleted", c.name, found.object.common().id)
	}
	return found.object, nil
}

// all returns the objects of a class in order of creation.
func all[T object](s *store, c *class) []T {
	list := make([]T, 0, len(s.objects[c]))
	for _, o := range s.objects[c] {
		list = append(list, o.(T))
	}
	return list
}

// chooseID picks the id of a new object: the document's, else the parameter's,
// else a new one. hcsshim sends wanted ids in the document and the zero GUID
// beside it.
func (h *Host) chooseID(c *class, parameter, document string) (base, error) {
	for _, text := range []string{document, parameter} {
		id, err := hns.ParseGUID(text)
		if err != nil || id == hns.ZeroGUID {
			continue
		}
		if h.store.find(c, id) != nil {
			return base{}, schema.Errorf(hns.CodeObjectExists, "%s %s exists", c.name, id)
		}
		return base{id: id, named: true, state: 1}, nil
	}
	return base{id: hns.NewGUID(), state: 1}, nil
}

// equalFold compares ids: v1 writes them in upper case and v2 in lower case.
func equalFold(a, b string) bool { return strings.EqualFold(a, b) }
