// SPDX-License-Identifier: Apache-2.0

package cniplugin

import (
	"context"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// addACLs programs the ACLs of an interface that another plugin made and passes
// that plugin's result on.
func (p plugin) addACLs(c config.Config, args *skel.CmdArgs) error {
	ch, prev, err := chained(c, args)
	if err != nil {
		return err
	}
	return p.within(c, c.Timeouts.Add, func(ctx context.Context, v pod.Verbs) error {
		if err := v.AddRules(ctx, ch); err != nil {
			return err
		}
		return types.PrintResult(prev, c.CNIVersion)
	})
}

// checkACLs compares the ACLs of an interface that another plugin made.
func (p plugin) checkACLs(c config.Config, args *skel.CmdArgs) error {
	ch, _, err := chained(c, args)
	if err != nil {
		return err
	}
	return p.within(c, c.Timeouts.Add, func(ctx context.Context, v pod.Verbs) error {
		return v.CheckRules(ctx, ch)
	})
}

// delACLs takes the rules off again. Without a result of ADD, or without a
// namespace, there is nothing that could be found: the rules go with the
// endpoint, which the plugin before deletes.
func (p plugin) delACLs(c config.Config, args *skel.CmdArgs) error {
	ch, _, err := chained(c, args)
	if err != nil {
		return nil
	}
	return p.within(c, c.Timeouts.Del, func(ctx context.Context, v pod.Verbs) error {
		return v.DelRules(ctx, ch)
	})
}

// statusACLs asks whether HNS answers.
func (p plugin) statusACLs(c config.Config) error {
	return p.within(c, c.Timeouts.Status, func(ctx context.Context, v pod.Verbs) error {
		return v.StatusRules(ctx)
	})
}

// chained says where the interface is, by the result of the plugin before: in the
// namespace of CNI_NETNS, or, for a runtime that names none by its GUID, where
// that result says.
func chained(c config.Config, args *skel.CmdArgs) (pod.Chained, *current.Result, error) {
	prev, err := prevResult(args.StdinData)
	if err != nil {
		return pod.Chained{}, nil, err
	}
	out := pod.Chained{Config: c}
	for i, ip := range prev.IPs {
		p, ok := prefixOf(ip.Address)
		if !ok {
			return pod.Chained{}, nil, invalid(indexed("prevResult.ips", i)+".address", "not an address with a prefix length")
		}
		out.Addresses = append(out.Addresses, p.Addr())
	}
	if len(out.Addresses) == 0 {
		return pod.Chained{}, nil, invalid("prevResult.ips", "empty; "+config.TypeACL+" finds the pod's endpoints by their addresses")
	}
	if out.Namespace = namespaceIn(prev, args.Netns); out.Namespace == "" {
		return pod.Chained{}, nil, invalid("prevResult.interfaces", "neither CNI_NETNS nor a sandbox in it is the GUID of a namespace; "+
			config.TypeACL+" needs a runtime that makes HCN namespaces, such as containerd")
	}
	return out, prev, nil
}

// namespaceIn returns the GUID in CNI_NETNS, or else the first among the
// sandboxes of a result; empty when there is none.
func namespaceIn(prev *current.Result, netns string) string {
	names := []string{netns}
	for _, iface := range prev.Interfaces {
		names = append(names, iface.Sandbox)
	}
	for _, name := range names {
		if id, err := hns.ParseGUID(name); err == nil && id != hns.ZeroGUID {
			return id
		}
	}
	return ""
}
