// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Promise is what the result of ADD said of an interface.
type Promise struct {
	Addresses []IPAMAddress
	MAC       hns.MAC
}

// Promise reads from prevResult what ADD said of the interface of CNI_IFNAME.
// Addresses without an interface index are taken for its own, as go-cni does.
func (c Config) Promise() (Promise, error) {
	prev, err := c.PrevResult()
	if err != nil {
		return Promise{}, err
	}
	var out Promise
	own := -1
	for i, iface := range prev.Interfaces {
		if iface.Name == c.IfName {
			own = i
			// sdnbridge writes the bytes of the address themselves, which JSON garbles.
			if out.MAC, err = hns.ParseMAC(iface.Mac); err != nil && !c.Replaces {
				return Promise{}, invalid(index("prevResult.interfaces", i)+".mac", "%s", err)
			}
		}
	}
	for i, ip := range prev.IPs {
		if ip.Interface != nil && *ip.Interface != own {
			continue
		}
		p, err := prevAddress(i, ip.Address)
		if err != nil {
			return Promise{}, err
		}
		gateway, _ := netip.AddrFromSlice(ip.Gateway)
		out.Addresses = append(out.Addresses, IPAMAddress{Prefix: p, Gateway: gateway.Unmap()})
	}
	return out, nil
}

// PrevAddrs returns all addresses of prevResult.
func (c Config) PrevAddrs() ([]netip.Addr, error) {
	prev, err := c.PrevResult()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for i, ip := range prev.IPs {
		p, err := prevAddress(i, ip.Address)
		if err != nil {
			return nil, err
		}
		out = append(out, p.Addr())
	}
	return out, nil
}

// PrevResult returns the result that the runtime sends, without nulls among its
// interfaces and addresses. CNI's library panics at nulls in results of older
// versions.
func (c Config) PrevResult() (prev *current.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			prev, err = nil, invalid("prevResult", "not a CNI result: %v", p)
		}
	}()
	if isNull(c.prevResult) {
		return nil, invalid("prevResult", "missing; it is the result of ADD, and of the plugin before in a chain")
	}
	conf := types.PluginConf{CNIVersion: c.CNIVersion}
	if err = json.Unmarshal(c.prevResult, &conf.RawPrevResult); err == nil {
		err = version.ParsePrevResult(&conf)
	}
	if err == nil {
		prev, err = current.NewResultFromResult(conf.PrevResult)
	}
	if err != nil {
		return nil, invalid("prevResult", "%s", withoutGo(err))
	}
	if i := slices.Index(prev.Interfaces, nil); i >= 0 {
		return nil, invalid(index("prevResult.interfaces", i), "null is not an interface")
	}
	if i := slices.Index(prev.IPs, nil); i >= 0 {
		return nil, invalid(index("prevResult.ips", i), "null is not an address")
	}
	return prev, nil
}

func prevAddress(i int, n net.IPNet) (netip.Prefix, error) {
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	addr = addr.Unmap()
	if !ok || bits != addr.BitLen() {
		return netip.Prefix{}, invalid(index("prevResult.ips", i)+".address", "not an address with a prefix length")
	}
	return netip.PrefixFrom(addr, ones), nil
}

// ValidAttachments reads who is alive, for GC. A list that is absent is an error:
// taken for an empty one, it would cost every pod its endpoint.
func (c Config) ValidAttachments() ([]Attachment, error) {
	const path = "cni.dev/valid-attachments"
	raw := c.validAttachments
	if isNull(raw) {
		return nil, invalid(path, "missing; GC needs to know which attachments are alive")
	}
	var list []types.GCAttachment
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, invalid(path, "%s", withoutGo(err))
	}
	out := []Attachment{}
	for i, a := range list {
		if a.ContainerID == "" || a.IfName == "" {
			return nil, invalid(fmt.Sprintf("%s[%d]", path, i), "containerID or ifname is missing")
		}
		out = append(out, Attachment{ContainerID: a.ContainerID, IfName: a.IfName})
	}
	return out, nil
}

// withoutGo says what encoding/json found where it wanted something else, without the
// names of types.
func withoutGo(err error) string {
	var of *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &of):
		return err.Error()
	case of.Field == "":
		return "a " + of.Value + " cannot be there"
	default:
		return "a " + of.Value + " cannot be " + of.Field
	}
}

// WithValidAttachments returns Raw with these attachments as the valid ones, under
// both keys that libcni uses.
func (c Config) WithValidAttachments(valid []Attachment) ([]byte, error) {
	doc, err := parseDocument(c.Raw)
	if err != nil {
		return nil, err
	}
	list := []types.GCAttachment{}
	for _, a := range valid {
		list = append(list, types.GCAttachment{ContainerID: a.ContainerID, IfName: a.IfName})
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	doc["cni.dev/valid-attachments"] = raw
	if doc["cni.dev/attachments"] != nil {
		doc["cni.dev/attachments"] = raw
	}
	return json.Marshal(doc)
}
