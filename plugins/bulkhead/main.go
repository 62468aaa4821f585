// SPDX-License-Identifier: Apache-2.0

// Bulkhead is a CNI plugin for Windows nodes. A container runtime runs it with
// CNI_COMMAND set; a person gets its help.
package main

import (
	"fmt"
	"os"

	"github.com/bulkhead-cni/bulkhead/pkg/cniplugin"
	"github.com/bulkhead-cni/bulkhead/pkg/hcnclient"
)

// version is set by the linker in releases.
var version = "devel"

func main() {
	if os.Getenv("CNI_COMMAND") != "" {
		cniplugin.Main(hcnclient.Open, "CNI plugin bulkhead "+version)
		return
	}
	os.Exit(help(os.Args[1:]))
}

// help prints what the program is. It has no commands of its own yet, so
// arguments are an error.
func help(args []string) int {
	if len(args) > 0 && args[0] != "help" && args[0] != "--help" && args[0] != "-h" && args[0] != "--version" {
		fmt.Fprintf(os.Stderr, "bulkhead: unknown command %q; this version has none, a container runtime runs it with CNI_COMMAND set\n", args[0])
		return 2
	}
	fmt.Printf("bulkhead %s, a CNI plugin for Windows nodes.\n\n"+
		"containerd runs it as the configuration in its conf directory says, with CNI_COMMAND\n"+
		"set to ADD, DEL, CHECK, GC, STATUS or VERSION and the network configuration on standard input.\n", version)
	return 0
}
