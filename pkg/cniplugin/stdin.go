// SPDX-License-Identifier: Apache-2.0

package cniplugin

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// promise reads from prevResult what ADD said of the interface of CNI_IFNAME.
// Addresses without an interface index are taken for its own, as go-cni does.
func promise(args *skel.CmdArgs) (pod.Promise, error) {
	prev, err := prevResult(args.StdinData)
	if err != nil {
		return pod.Promise{}, err
	}
	var out pod.Promise
	index := -1
	for i, iface := range prev.Interfaces {
		if iface.Name == args.IfName {
			index = i
			if out.MAC, err = hns.ParseMAC(iface.Mac); err != nil {
				return pod.Promise{}, invalid(indexed("prevResult.interfaces", i)+".mac", err.Error())
			}
		}
	}
	for i, ip := range prev.IPs {
		if ip.Interface != nil && *ip.Interface != index {
			continue
		}
		p, ok := prefixOf(ip.Address)
		if !ok {
			return pod.Promise{}, invalid(indexed("prevResult.ips", i)+".address", "not an address with a prefix length")
		}
		gateway, _ := netip.AddrFromSlice(ip.Gateway)
		out.Addresses = append(out.Addresses, ipam.Address{Prefix: p, Gateway: gateway.Unmap()})
	}
	return out, nil
}

// prevResult reads the result that the runtime sends. CNI's library panics at nulls in
// results of older versions.
func prevResult(stdin []byte) (prev *current.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			prev, err = nil, invalid("prevResult", fmt.Sprintf("not a CNI result: %v", p))
		}
	}()
	var conf types.PluginConf
	if err := json.Unmarshal(stdin, &conf); err != nil {
		return nil, invalid("prevResult", err.Error())
	}
	if conf.RawPrevResult == nil {
		return nil, invalid("prevResult", "missing; it is the result of ADD, and of the plugin before in a chain")
	}
	if err := version.ParsePrevResult(&conf); err != nil {
		return nil, invalid("prevResult", err.Error())
	}
	prev, err = current.NewResultFromResult(conf.PrevResult)
	if err != nil {
		return nil, invalid("prevResult", err.Error())
	}
	if i := slices.Index(prev.Interfaces, nil); i >= 0 {
		return nil, invalid(indexed("prevResult.interfaces", i), "null is not an interface")
	}
	if i := slices.Index(prev.IPs, nil); i >= 0 {
		return nil, invalid(indexed("prevResult.ips", i), "null is not an address")
	}
	return prev, nil
}

func prefixOf(n net.IPNet) (netip.Prefix, bool) {
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, ones), ok && bits == addr.BitLen()
}

// validAttachments reads who is alive. A list that is absent is an error: taken
// for an empty one, it would cost every pod its endpoint.
func validAttachments(stdin []byte) ([]ipam.Holder, error) {
	var conf struct {
		// Attachments is what libcni sends besides, for older plugins.
		Valid       *[]types.GCAttachment `json:"cni.dev/valid-attachments"`
		Attachments *[]types.GCAttachment `json:"cni.dev/attachments"`
	}
	if err := json.Unmarshal(stdin, &conf); err != nil {
		return nil, invalid("cni.dev/valid-attachments", err.Error())
	}
	list := conf.Valid
	if list == nil {
		list = conf.Attachments
	}
	if list == nil {
		return nil, invalid("cni.dev/valid-attachments", "missing; GC needs to know which attachments are alive")
	}
	out := []ipam.Holder{}
	for i, a := range *list {
		if a.ContainerID == "" || a.IfName == "" {
			return nil, invalid(indexed("cni.dev/valid-attachments", i), "containerID or ifname is missing")
		}
		out = append(out, ipam.Holder{ContainerID: a.ContainerID, IfName: a.IfName})
	}
	return out, nil
}

func invalid(path, problem string) error {
	return &config.Error{Path: path, Problem: problem, Err: config.ErrInvalid}
}

func indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
