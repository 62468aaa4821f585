// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package wine

import (
	"errors"
	"os"
	"syscall"
)

func dieWithParent() *syscall.SysProcAttr { return nil }

func killMarked(string) {}

func lockFile(string) (unlock func(), err error) { return nil, errors.ErrUnsupported }

func peak(*os.ProcessState) int64 { return 0 }
