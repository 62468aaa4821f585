// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Processes returns those of this machine, as folders of proc(5), whose command line, with a
// zero byte after each word, is the one looked for.
func Processes(is func(line string) bool) []string {
	var out []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		// One that cannot be read has ended.
		if text, err := os.ReadFile(file); err == nil && is(string(text)) {
			out = append(out, filepath.Dir(file))
		}
	}
	return out
}

// Machine returns the process, as a folder of proc(5), in whose namespaces a node is. It
// fails when the node is off.
func (c Cluster) Machine(n Node) (string, error) {
	agents := Processes(func(line string) bool {
		return strings.HasSuffix(line, "\x00machine\x00--dir\x00"+c.Dir+"\x00"+n.Name+"\x00") && !strings.Contains(line, "\x00init\x00")
	})
	if len(agents) != 1 {
		return "", fmt.Errorf("%s has %d agents; is it off?", n.Name, len(agents))
	}
	return agents[0], nil
}

// SetConflist replaces a node's conflist in one step, and waits a moment for containerd to
// see it.
func (c Cluster) SetConflist(n Node, text string) error {
	machine, err := c.Machine(n)
	if err != nil {
		return err
	}
	file := filepath.Join(machine, "root", c.Drive(n), ConfDir, ConfName)
	if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
		return err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	time.Sleep(time.Second)
	return nil
}
