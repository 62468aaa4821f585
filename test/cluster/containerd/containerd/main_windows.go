// SPDX-License-Identifier: Apache-2.0

// Command containerd is containerd (cmd/containerd) for Wine.
package main

import (
	"context"
	"fmt"
	"os"
	_ "unsafe" // go:linkname

	_ "github.com/containerd/containerd/v2/cmd/containerd/builtins"
	"github.com/containerd/containerd/v2/cmd/containerd/command"
)

// Wine 8 does not know FileDispositionInformationEx, and says so with a status for which
// os.RemoveAll has no fallback but in Go's own tests.
//
//go:linkname deleteatFallback internal/syscall/windows.TestDeleteatFallback
var deleteatFallback bool

func main() {
	deleteatFallback = true
	if err := command.App().Run(context.Background(), os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "containerd:", err)
		os.Exit(1)
	}
}
