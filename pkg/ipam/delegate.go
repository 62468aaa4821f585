// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/invoke"
	current "github.com/containernetworking/cni/pkg/types/100"
)

// delegate executes an IPAM plugin from CNI_PATH, with the environment of this
// process and the configuration's original bytes.
type delegate struct {
	name string
}

// Validate looks for the plugin's executable. What it is sent is for it to judge.
func (d delegate) Validate(Request) error {
	if _, err := invoke.FindInPath(d.name, filepath.SplitList(os.Getenv("CNI_PATH"))); err != nil {
		return fmt.Errorf("%w: ipam.type: %w", ErrConfig, err)
	}
	return nil
}

// Add executes the plugin's ADD.
func (d delegate) Add(ctx context.Context, r Request) (Result, error) {
	res, err := invoke.DelegateAdd(ctx, d.name, r.Conf, nil)
	if err != nil {
		return Result{}, fmt.Errorf("IPAM plugin %s: %w", d.name, err)
	}
	result, err := current.NewResultFromResult(res)
	if err != nil {
		return Result{}, fmt.Errorf("result of IPAM plugin %s: %w", d.name, err)
	}
	out, err := fromCNI(result)
	if err != nil {
		return Result{}, fmt.Errorf("result of IPAM plugin %s: %w", d.name, err)
	}
	return out, nil
}

// Del executes the plugin's DEL.
func (d delegate) Del(ctx context.Context, r Request) error {
	if err := invoke.DelegateDel(ctx, d.name, r.Conf, nil); err != nil {
		return fmt.Errorf("IPAM plugin %s: %w", d.name, err)
	}
	return nil
}

// Check executes the plugin's CHECK.
func (d delegate) Check(ctx context.Context, r Request) error {
	if err := invoke.DelegateCheck(ctx, d.name, r.Conf, nil); err != nil {
		return fmt.Errorf("IPAM plugin %s: %w", d.name, err)
	}
	return nil
}

// GC executes the plugin's GC; who is valid stands in the configuration.
func (d delegate) GC(ctx context.Context, conf []byte, _ []Holder) error {
	if err := invoke.DelegateGC(ctx, d.name, conf, nil); err != nil {
		return fmt.Errorf("IPAM plugin %s: %w", d.name, err)
	}
	return nil
}

// Status executes the plugin's STATUS.
func (d delegate) Status(ctx context.Context, conf []byte) error {
	if err := invoke.DelegateStatus(ctx, d.name, conf, nil); err != nil {
		return fmt.Errorf("IPAM plugin %s: %w", d.name, err)
	}
	return nil
}
