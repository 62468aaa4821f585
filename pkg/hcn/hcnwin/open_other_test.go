// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package hcnwin

import (
	"errors"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func TestOpen(t *testing.T) {
	c, err := Open(0)
	var e *hns.Error
	if c != nil || !errors.As(err, &e) || !errors.Is(err, hns.ErrUnsupported) {
		t.Errorf("Open = %v, %v; want ErrUnsupported", c, err)
	}
	if want := "open HNS: HNS exists on Windows only: unsupported"; err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
