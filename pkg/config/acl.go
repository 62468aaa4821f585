// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Annotation is the pod annotation that may tighten its ACLs: a JSON object with
// the keys inbound, outbound, rules and allowHost of the acl section.
const Annotation = annotationPrefix + "acl"

// annotationPrefix begins the keys that are Bulkhead's.
const annotationPrefix = "bulkhead.dev/"

// maxAnnotation bounds the annotation: more than anybody writes, and little
// enough for every product of it with the conflist's rules.
const maxAnnotation = 16 << 10

type wireACL struct {
	Program        *bool           `json:"program"`
	Inbound        wireDirection   `json:"inbound"`
	Outbound       wireDirection   `json:"outbound"`
	Rules          []wireRule      `json:"rules"`
	AllowHost      json.RawMessage `json:"allowHost"`
	PodAnnotations bool            `json:"podAnnotations"`
	MappedPorts    *string         `json:"mappedPorts"`
	SpoofGuard     bool            `json:"spoofGuard"`
}

// readACL needs driver and isolation to be read before, and the pod's
// annotations.
func readACL(doc document, c *Config) error {
	w := wireACL{}
	if raw := doc["acl"]; !isNull(raw) {
		if err := decodeFull("acl", raw, &w); err != nil {
			return err
		}
	}
	spec, err := wireSpec{w.Inbound, w.Outbound, w.Rules, w.AllowHost}.spec("acl.")
	if err != nil {
		return err
	}
	switch {
	case w.MappedPorts == nil || *w.MappedPorts == "allow":
	case *w.MappedPorts == "rules":
		spec.MappedByRules = true
	default:
		return invalid("acl.mappedPorts", "%q is not one of allow, rules", *w.MappedPorts)
	}
	a := ACL{Program: w.Program == nil || *w.Program, Spec: spec, SpoofGuard: w.SpoofGuard}
	a.OpenMapped = !a.Program && w.MappedPorts != nil
	a.Asked = firstSet([]key{
		{"acl.rules", len(w.Rules) > 0},
		{"acl.inbound.default", spec.DenyInbound},
		{"acl.outbound.default", spec.DenyOutbound},
		{"acl.allowHost", !isNull(w.AllowHost)},
		{"acl.mappedPorts", spec.MappedByRules},
		{"acl.spoofGuard", w.SpoofGuard},
		{"acl.podAnnotations", w.PodAnnotations},
		{"acl.program", w.Program != nil && *w.Program},
	})
	if !a.Program && a.Asked != "" {
		return invalid(a.Asked, "acl.program is false, so bulkhead programs no ACL; remove one of the two")
	}
	if w.PodAnnotations {
		if a.Tighter, err = readTighter(doc, *c); err != nil {
			return err
		}
	}
	if err := checkReconfigurable(c.Driver, c.Isolation, a.Asked); err != nil {
		return err
	}
	c.ACL = a
	return nil
}

// readTighter reads what the pod's annotation adds. It refuses where the annotation
// cannot arrive: the pod would be open although it asks not to be. Where there is no pod,
// for STATUS and the commands, the file tells; a runtime may take capabilities out of
// what it sends (SPEC.md, "Deriving runtimeConfig").
func readTighter(doc document, c Config) ([]acl.Spec, error) {
	const path = "acl.podAnnotations"
	if c.ContainerID == "" && !doc.capable(CapabilityAnnotations) {
		return nil, invalid(path, `the pod's annotations do not arrive; declare "capabilities": {%q: true}`, CapabilityAnnotations)
	}
	if c.ContainerID != "" && !doc.runtimeHas(CapabilityAnnotations) {
		return nil, invalid(path, `the pod's annotations do not arrive: the runtime sends no runtimeConfig[%q]; declare "capabilities": {%[1]q: true}, with a runtime that has it, as containerd`, CapabilityAnnotations)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Annotations)) {
		if key != Annotation && strings.HasPrefix(strings.ToLower(key), annotationPrefix) {
			return nil, &Error{Path: "annotation " + key, Problem: "bulkhead knows only " + Annotation, Err: ErrAnnotation}
		}
	}
	text, asked := c.Annotations[Annotation]
	if !asked {
		return nil, nil
	}
	spec, err := readAnnotation(text)
	var e *Error
	if errors.As(err, &e) {
		e.Err = ErrAnnotation
	}
	return spec, err
}

// readAnnotation reads what a pod asks for. Whatever is wrong with it is a refusal: a rule
// that is passed over would be a hole.
func readAnnotation(text string) ([]acl.Spec, error) {
	const path = "annotation " + Annotation
	switch {
	case text == "":
		return nil, invalid(path, "empty; remove it, or write what the pod asks for")
	case len(text) > maxAnnotation:
		return nil, invalid(path, "it has %d bytes; the most is %d", len(text), maxAnnotation)
	}
	if _, err := parseDocument([]byte(text)); err != nil {
		return nil, at(path, err)
	}
	if err := checkRepeated(path, []byte(text)); err != nil {
		return nil, err
	}
	var w wireSpec
	if err := decodeFull(path, json.RawMessage(text), &w); err != nil {
		return nil, err
	}
	s, err := w.spec(path + ".")
	if err != nil {
		return nil, err
	}
	return []acl.Spec{s}, nil
}

// checkEnforceable refuses what the driver's enforcement points cannot be told.
// Addresses of the node and mapped ports change nothing about that: they come
// after every rule.
func (c Config) checkEnforceable(d hns.Driver) error {
	if c.ACL.Asked == "" {
		return nil
	}
	if err := c.checkRemotes(d); err != nil {
		return err
	}
	if c.ACL.SpoofGuard && !d.HasVFP() {
		return invalid("acl.spoofGuard", "%s networks have no VFP, which alone is told a pod's own addresses; remove the key", d)
	}
	_, err := acl.Compile(acl.Target{Driver: d, Isolation: c.Isolation}, c.ACL.Spec, c.ACL.Tighter...)
	if errors.Is(err, acl.ErrUnenforceable) {
		return &Error{Path: "acl", Problem: err.Error(), Err: ErrInvalid}
	}
	return err
}

// checkRemotes refuses addresses of a family that the driver does not have.
func (c Config) checkRemotes(d hns.Driver) error {
	for _, s := range append([]acl.Spec{c.ACL.Spec}, c.ACL.Tighter...) {
		for _, r := range s.Rules {
			for i, p := range r.Remote {
				if err := checkFamily(index(r.Name+".remote", i), p.Addr(), d); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// key is a JSON path and whether it asks for something.
type key struct {
	path string
	set  bool
}

func firstSet(keys []key) string {
	for _, k := range keys {
		if k.set {
			return k.path
		}
	}
	return ""
}

// checkReconfigurable refuses a wish for ACLs where Windows cannot reconfigure
// them (Microsoft, "Network isolation and security", "Customizing default port
// ACLs"). An empty driver is not known yet.
func checkReconfigurable(d hns.Driver, i hns.Isolation, asked string) error {
	if asked == "" || d == "" || i != hns.HyperV || d.HasVFP() {
		return nil
	}
	return invalid(asked, "Windows cannot reconfigure the port ACLs of a hyperv pod on a %s network; remove the key", d)
}
