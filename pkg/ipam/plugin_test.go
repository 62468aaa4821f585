// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// request is what a runtime sends, as these tests write it.
type request struct {
	ContainerID, IfName string
	// Args is CNI_ARGS, Conf the configuration.
	Args string
	Conf []byte
	// Reserved is for Add, Addresses for Del and Confirm.
	Reserved, Addresses []netip.Addr
}

func (r request) holder() config.Attachment {
	return config.Attachment{ContainerID: r.ContainerID, IfName: r.IfName}
}

// parse reads a request as a verb does. What is wrong with it is an ErrConfig here.
func (r request) parse(read func([]byte, config.Env) (config.Config, error)) (config.Config, error) {
	c, err := read(r.Conf, config.Env{ContainerID: r.ContainerID, IfName: r.IfName, Args: r.Args})
	if err != nil {
		return config.Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return c, nil
}

// parsing is a plugin behind config, as the verbs use it.
type parsing struct{ Plugin }

func open(name string) parsing { return parsing{Open(name)} }

func (p parsing) Validate(r request) error {
	c, err := r.parse(config.Parse)
	if err != nil {
		return err
	}
	return p.Plugin.Validate(context.Background(), c)
}

func (p parsing) Add(ctx context.Context, r request) (Result, error) {
	c, err := r.parse(config.Parse)
	if err == nil {
		err = p.Plugin.Validate(ctx, c)
	}
	if err != nil {
		return Result{}, err
	}
	return p.Plugin.Add(ctx, c, r.Reserved)
}

func (p parsing) Del(ctx context.Context, r request) error {
	c, err := r.parse(config.ParseLenient)
	if err != nil {
		return err
	}
	return p.Plugin.Del(ctx, c, r.Addresses)
}

func (p parsing) Confirm(ctx context.Context, r request) error {
	c, err := r.parse(config.Parse)
	if err != nil {
		return err
	}
	return p.Plugin.Confirm(ctx, c, r.Addresses)
}

func (p parsing) Check(ctx context.Context, r request) error {
	c, err := r.parse(config.Parse)
	if err != nil {
		return err
	}
	return p.Plugin.Check(ctx, c, r.Addresses)
}

func (p parsing) GC(ctx context.Context, conf []byte, keep []config.Attachment) error {
	c, err := request{Conf: conf}.parse(config.ParseLenient)
	if err != nil {
		return err
	}
	return p.Plugin.GC(ctx, c, keep)
}

func (p parsing) Status(ctx context.Context, conf []byte) error {
	c, err := request{Conf: conf}.parse(config.Parse)
	if err != nil {
		return err
	}
	return p.Plugin.Status(ctx, c)
}
