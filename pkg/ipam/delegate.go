// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/bulkhead-cni/bulkhead/pkg/bounded"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/offspring"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// Running is the variable by which whatever an IPAM plugin starts can tell that Bulkhead
// started the plugin: were it Bulkhead again, there would be no end.
const Running = "BULKHEAD_IPAM"

// killTime is what a plugin that was killed gets to end. It may not: a child of
// its keeps the pipe open that its answer comes through.
const killTime = 2 * time.Second

// delegate executes an IPAM plugin from CNI_PATH, with the environment of this
// process and the configuration's original bytes.
type delegate struct {
	name string
}

// Validate looks for the plugin's executable. What it is sent is for it to judge.
func (d delegate) Validate(context.Context, config.Config) error {
	if _, err := invoke.FindInPath(d.name, filepath.SplitList(os.Getenv("CNI_PATH"))); err != nil {
		return problem.New(ErrConfig, err, "ipam.type")
	}
	return nil
}

// Add executes the plugin's ADD.
func (d delegate) Add(ctx context.Context, c config.Config, _ []netip.Addr) (Result, error) {
	res, err := execute(ctx, d.name, func() (types.Result, error) {
		return invoke.DelegateAdd(ctx, d.name, c.Raw, nil)
	})
	if err != nil {
		return Result{}, err
	}
	out, err := answered(res)
	if err != nil {
		return Result{}, fmt.Errorf("result of IPAM plugin %s: %w", d.name, err)
	}
	return out, nil
}

// answered converts what a plugin answered. The conversion from old versions
// panics at nulls; as an error it makes the caller give the address back.
func answered(res types.Result) (out Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not a CNI result: %v", p)
		}
	}()
	result, err := current.NewResultFromResult(res)
	if err != nil {
		return Result{}, err
	}
	return fromCNI(result)
}

// Del executes the plugin's DEL.
func (d delegate) Del(ctx context.Context, c config.Config, _ []netip.Addr) error {
	return d.run(ctx, c, invoke.DelegateDel)
}

// Confirm succeeds: the plugin has the reservations, and asking costs a process.
func (delegate) Confirm(context.Context, config.Config, []netip.Addr) error { return nil }

// Check executes the plugin's CHECK.
func (d delegate) Check(ctx context.Context, c config.Config, _ []netip.Addr) error {
	return d.run(ctx, c, invoke.DelegateCheck)
}

// GC executes the plugin's GC with keep in the place of the attachments that the
// runtime called valid: it may hold more.
func (d delegate) GC(ctx context.Context, c config.Config, keep []config.Attachment) error {
	stdin, err := c.WithValidAttachments(keep)
	if err != nil {
		return err
	}
	c.Raw = stdin
	return d.run(ctx, c, invoke.DelegateGC)
}

// Status executes the plugin's STATUS.
func (d delegate) Status(ctx context.Context, c config.Config) error {
	return d.run(ctx, c, invoke.DelegateStatus)
}

// run executes a verb that answers nothing.
func (d delegate) run(ctx context.Context, c config.Config, verb func(context.Context, string, []byte, invoke.Exec) error) error {
	_, err := execute(ctx, d.name, func() (struct{}, error) {
		return struct{}{}, verb(ctx, d.name, c.Raw, nil)
	})
	return err
}

// execute waits for a call that executes a plugin and kills it when ctx ends. What
// the call then fails with does not tell, so the error of ctx is added.
func execute[T any](ctx context.Context, name string, call func() (T, error)) (T, error) {
	var none T
	if err := os.Setenv(Running, name); err != nil {
		return none, err
	}
	_ = offspring.Bind() // whoever cannot have a job must still be able to give addresses back
	waiting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(killTime, giveUp) })
	defer stop()
	out, err := bounded.Do(waiting, call)
	ended := ctx.Err()
	switch {
	case err == nil:
		return out, nil
	case ended == nil:
		return out, fmt.Errorf("IPAM plugin %s: %w", name, err)
	case waiting.Err() != nil:
		return out, fmt.Errorf("IPAM plugin %s: %w, and it did not end when it was killed", name, ended)
	default:
		return out, fmt.Errorf("IPAM plugin %s: %w: %w", name, ended, err)
	}
}
