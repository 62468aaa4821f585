// SPDX-License-Identifier: Apache-2.0

package cniplugin

import (
	"context"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// addACLs programs the ACLs of an interface that another plugin made and passes
// that plugin's result on.
func (p plugin) addACLs(c config.Config) error {
	ch, prev, err := chained(c)
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
func (p plugin) checkACLs(c config.Config) error {
	ch, _, err := chained(c)
	if err != nil {
		return err
	}
	return p.within(c, c.Timeouts.Add, func(ctx context.Context, v pod.Verbs) error {
		return v.CheckRules(ctx, ch)
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
func chained(c config.Config) (pod.Chained, *current.Result, error) {
	prev, err := c.PrevResult()
	if err != nil {
		return pod.Chained{}, nil, err
	}
	out := pod.Chained{Config: c}
	if out.Addresses, err = c.PrevAddrs(); err != nil {
		return pod.Chained{}, nil, err
	}
	if len(out.Addresses) == 0 {
		return pod.Chained{}, nil, invalid("prevResult.ips", "empty; "+config.TypeACL+" finds the pod's endpoints by their addresses")
	}
	names := []string{c.NetNS}
	for _, iface := range prev.Interfaces {
		names = append(names, iface.Sandbox)
	}
	for _, name := range names {
		if id, err := hns.ParseGUID(name); err == nil && id != hns.ZeroGUID {
			out.Namespace = id
			return out, prev, nil
		}
	}
	return pod.Chained{}, nil, invalid("prevResult.interfaces", "neither CNI_NETNS nor a sandbox in it is the GUID of a namespace; "+
		config.TypeACL+" needs a runtime that makes HCN namespaces, such as containerd")
}

func invalid(path, problem string) error {
	return &config.Error{Path: path, Problem: problem, Err: config.ErrInvalid}
}
