// SPDX-License-Identifier: Apache-2.0

package cniplugin

import (
	"context"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/bulkhead-cni/bulkhead/pkg/attach"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// addACLs programs the ACLs of an interface that another plugin made and passes
// that plugin's result on.
func (p plugin) addACLs(c config.Config, args *skel.CmdArgs) error {
	prev, err := prevResult(args.StdinData)
	if err != nil {
		return err
	}
	ch, err := chained(c, args, prev)
	if err != nil {
		return err
	}
	return p.within(c, c.Timeouts.Add, func(ctx context.Context, at attach.Attacher) error {
		if err := at.ProgramACLs(ctx, ch); err != nil {
			return err
		}
		return types.PrintResult(prev, c.CNIVersion)
	})
}

// checkACLs compares the ACLs of an interface that another plugin made.
func (p plugin) checkACLs(c config.Config, args *skel.CmdArgs) error {
	prev, err := prevResult(args.StdinData)
	if err != nil {
		return err
	}
	ch, err := chained(c, args, prev)
	if err != nil {
		return err
	}
	return p.within(c, c.Timeouts.Add, func(ctx context.Context, at attach.Attacher) error {
		return at.CheckACLs(ctx, ch)
	})
}

// delACLs takes the rules off again. Without a result of ADD, or without a
// namespace, there is nothing that could be found: the rules go with the
// endpoint, which the plugin before deletes.
func (p plugin) delACLs(c config.Config, args *skel.CmdArgs) error {
	prev, err := prevResult(args.StdinData)
	if err != nil {
		return nil
	}
	ch, err := chained(c, args, prev)
	if err != nil {
		return nil
	}
	return p.within(c, c.Timeouts.Del, func(ctx context.Context, at attach.Attacher) error {
		return at.RemoveACLs(ctx, ch)
	})
}

// statusACLs asks whether HNS answers.
func (p plugin) statusACLs(c config.Config) error {
	return p.within(c, c.Timeouts.Status, func(ctx context.Context, at attach.Attacher) error {
		return at.Answers(ctx)
	})
}

// chained says where the interface is: in the namespace of CNI_NETNS, or, for a
// runtime that names none by its GUID, where the result says.
func chained(c config.Config, args *skel.CmdArgs, prev *current.Result) (attach.Chained, error) {
	out := attach.Chained{Config: c, ContainerID: args.ContainerID}
	for i, ip := range prev.IPs {
		p, ok := prefixOf(ip.Address)
		if !ok {
			return attach.Chained{}, invalid(indexed("prevResult.ips", i)+".address", "not an address with a prefix length")
		}
		out.Addresses = append(out.Addresses, p.Addr())
	}
	if len(out.Addresses) == 0 {
		return attach.Chained{}, invalid("prevResult.ips", "empty; "+config.TypeACL+" finds the pod's endpoints by their addresses")
	}
	names := []string{args.Netns}
	for _, iface := range prev.Interfaces {
		names = append(names, iface.Sandbox)
	}
	for _, name := range names {
		if id, err := hns.ParseGUID(name); err == nil && id != hns.ZeroGUID {
			out.Namespace = id
			return out, nil
		}
	}
	return attach.Chained{}, invalid("prevResult.interfaces", "neither CNI_NETNS nor a sandbox in it is the GUID of a namespace; "+
		config.TypeACL+" needs a runtime that makes HCN namespaces, such as containerd")
}
