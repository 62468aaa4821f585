// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"

	"github.com/containernetworking/cni/pkg/utils"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Types of plugins.
const (
	// Type is the native dialect.
	Type = "bulkhead"
	// TypeACL is the chained plugin, which programs ACLs for interfaces that
	// another plugin made.
	TypeACL = "bulkhead-acl"
)

// step reads one part of a document into a Config, which it leaves as it is
// when it fails.
type step struct {
	part string
	read func(document, *Config) error
	// needs are the parts, with blanks between, whose faults leave this one unread
	// where every fault is told.
	needs string
}

// steps are taken in this order, which decides which of several errors is told.
// Later ones may read what earlier ones set.
func steps() []step {
	return []step{
		{"cniVersion", readVersion, ""},
		{"timeouts", readTimeouts, ""},
		{"log", readLog, ""},
		{"metrics", readMetrics, ""},
		{"driver", readDriver, ""},
		{"isolation", readIsolation, ""},
		{"network", readNetwork, "driver"},
		{"gateway", readGateways, "network"},
		{"ipam.type", readIPAMPlugin, ""},
		{"annotations", readAnnotations, ""},
		{"acl", readACL, "driver isolation annotations"},
		{"outboundNAT", readOutboundNAT, ""},
		{"loopbackDSR", readLoopbackDSR, ""},
		{"routes", readRoutes, ""},
		{"policies", readPolicies, "acl outboundNAT"},
		{"dns", readDNS, ""},
		{"runtimeConfig.dns", readRuntimeDNS, "dns"},
		{"hostPorts", readHostPorts, ""},
		{"portMappings", readPortMappings, "hostPorts"},
		{"bandwidth", readBandwidth, "policies"},
		{"mac", readMAC, ""},
		{"ips", readRequested, ""},
		{"macPrefix", readMACPrefix, "ips ipam.type"},
		{"encapOverhead", readEncapOverhead, "policies"},
		{"ipam", readIPAM, "driver network ips portMappings ipam.type"},
	}
}

// runtimeKeys are the keys that CNI gives a meaning to (SPEC.md, "Plugin
// configuration objects", "Network configuration lists").
var runtimeKeys = []string{
	"cniVersion", "cniVersions", "name", "type", "capabilities", "ipam", "dns", "args", "runtimeConfig",
	"prevResult", "disableCheck", "disableGC", "loadOnlyInlinedPlugins",
}

// ownKeys are the keys of each dialect.
var ownKeys = map[string][]string{
	Type: {
		"driver", "isolation", "network", "gateway", "macPrefix", "acl", "outboundNAT", "ipMasq", "ipMasqNetwork", "loopbackDSR",
		"encapOverhead", "hostPorts", "routes", "policies", "timeouts", "log", "metrics",
	},
	TypeACL: {"driver", "isolation", "acl", "timeouts", "log", "metrics"},
}

// Parse reads what a runtime sends, for the verbs that make or compare something. It
// refuses whatever can be known to be wrong before HNS or an IPAM plugin is asked,
// with an *Error.
func Parse(stdin []byte, env Env) (Config, error) {
	doc, err := parseDocument(stdin)
	if err != nil {
		return Config{}, err
	}
	if err := checkRepeated("", bytes.TrimPrefix(stdin, byteOrderMark)); err != nil {
		return Config{}, err
	}
	// skel checks both; the names of endpoints rely on it.
	if e := utils.ValidateContainerID(env.ContainerID); env.ContainerID != "" && e != nil {
		return Config{}, invalid("CNI_CONTAINERID", "%q: letters, digits, dots, hyphens and underscores only, a letter or a digit first", env.ContainerID)
	}
	if e := utils.ValidateInterfaceName(env.IfName); env.IfName != "" && e != nil {
		return Config{}, invalid("CNI_IFNAME", "%q: %s", env.IfName, e.Msg)
	}
	c := doc.defaults(stdin, env)
	if c.Name, c.Type, err = doc.identity(); err != nil {
		return Config{}, err
	}
	doc, faults := c.native(doc)
	if len(faults) > 0 {
		return Config{}, faults[0]
	}
	if err := doc.checkKeys(c.Type); err != nil {
		return Config{}, c.origins.inFile(err)
	}
	if c.args, err = parseArgs(env.Args); err != nil {
		return Config{}, err
	}
	c.Pod = c.args.pod
	for _, s := range steps() {
		if err := s.read(doc, &c); err != nil {
			return Config{}, c.origins.inFile(err)
		}
	}
	qualifyDNS(doc, &c)
	if c.Driver == "" {
		return c, nil
	}
	return c.WithDriver(c.Driver)
}

// native returns the document in the native dialect, and what is wrong with one of another
// plugin's.
func (c *Config) native(doc document) (document, []error) {
	if _, _, ok := dialectOf(c.Type); !ok {
		return doc, nil
	}
	out, origins, faults := translate(doc, c.Type)
	c.Type, c.origins, c.Replaces, c.declared = Type, origins, true, out["capabilities"]
	return out, faults
}

// ParseLenient reads what a runtime sends for the verbs that must work with whatever
// is there: DEL and GC. It fails only for what is not a JSON object or has no name. An
// ipam section that does not tell where the addresses are is the Config's IPAMError. Of
// the rest it takes each part that is right, and the default where one is wrong.
func ParseLenient(stdin []byte, env Env) (Config, error) {
	doc, err := parseDocument(stdin)
	if err != nil {
		return Config{}, err
	}
	c := doc.defaults(stdin, env)
	if c.Name, err = doc.text("name"); err != nil {
		return Config{}, err
	}
	c.Type, _ = doc.text("type")
	c.Type = canonicalType(c.Type)
	doc, _ = c.native(doc)
	c.IPAMError = c.origins.inFile(readIPAMPlugin(doc, &c))
	c.args, _ = parseArgs(env.Args)
	c.Pod = c.args.pod
	for _, s := range steps() {
		_ = s.read(doc, &c)
	}
	qualifyDNS(doc, &c)
	return c, nil
}

// defaults is the configuration that says nothing.
func (d document) defaults(stdin []byte, env Env) Config {
	c := Config{
		Attachment: Attachment{env.ContainerID, env.IfName},
		NetNS:      env.NetNS,
		CNIVersion: "0.1.0",
		Isolation:  hns.Process,
		ACL:        ACL{Program: true},
		Timeouts:   defaultTimeouts,
		Raw:        bytes.Clone(stdin),
		prevResult: d["prevResult"],
		declared:   d["capabilities"],
	}
	// libcni sends the list under an older key, too.
	for _, key := range []string{"cni.dev/attachments", "cni.dev/valid-attachments"} {
		if !isNull(d[key]) {
			c.validAttachments = d[key]
		}
	}
	return c
}
