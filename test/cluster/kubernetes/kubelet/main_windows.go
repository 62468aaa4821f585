// SPDX-License-Identifier: Apache-2.0

// Command kubelet is Kubernetes' kubelet (cmd/kubelet) for Wine.
package main

import (
	"context"
	"os"
	_ "unsafe" // go:linkname

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kubelet/app"
)

// Wine 8 does not know FileDispositionInformationEx, and says so with a status for which
// os.RemoveAll has no fallback but in Go's own tests.
//
//go:linkname deleteatFallback internal/syscall/windows.TestDeleteatFallback
var deleteatFallback bool

func main() {
	deleteatFallback = true
	os.Exit(cli.Run(app.NewKubeletCommand(context.Background())))
}
