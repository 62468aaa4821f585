// SPDX-License-Identifier: Apache-2.0

package build

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Under Wine there is no AF_UNIX, and kubelet ends when the server for device plugins
// cannot listen. No device plugin runs here, so it may listen anywhere.
const (
	deviceServer = "pkg/kubelet/cm/devicemanager/plugin/v1beta1/server.go"
	listenUnix   = `net.Listen("unix", s.SocketPath())`
	listenTCP    = `net.Listen("tcp", "127.0.0.1:0")`
)

// ofKubernetes builds programs of Kubernetes from a copy of the module's go.mod, in which
// k8s.io/kubernetes is a folder: Go replaces no file in its module cache.
func (b Builder) ofKubernetes(programs []program) error {
	version, err := b.KubernetesVersion()
	if err != nil {
		return err
	}
	stamp, err := b.stamp(b.module(kubernetesModule), version)
	if err != nil {
		return err
	}
	minor := release.FindStringSubmatch(version)
	const component = "k8s.io/component-base/version."
	ldflags := fmt.Sprintf("-s -w -checklinkname=0 -X %[1]sgitVersion=%[2]s -X %[1]sgitMajor=1 -X %[1]sgitMinor=%[3]s -X k8s.io/client-go/pkg/version.gitVersion=%[2]s",
		component, version, minor[1])
	var flags []string
	for _, p := range programs {
		err := b.once(p, stamp, func() error {
			if flags == nil {
				var err error
				if flags, err = b.prepare(version); err != nil {
					return err
				}
			}
			own := flags
			if !strings.HasSuffix(p.file, ".exe") { // nothing of it is for Wine
				own = slices.DeleteFunc(slices.Clone(flags), func(f string) bool { return strings.HasPrefix(f, "-overlay=") })
			}
			return b.goBuild(b.module(kubernetesModule), p, own, ldflags)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// prepare makes what the build needs beside the module, and returns its flags.
func (b Builder) prepare(version string) ([]string, error) {
	dir := filepath.Join(b.Root, ".build", "cluster", "kubernetes-"+version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	source, err := b.downloaded("k8s.io/kubernetes", version)
	if err != nil {
		return nil, err
	}
	module := filepath.Join(dir, "module")
	if err := os.RemoveAll(module); err != nil {
		return nil, err
	}
	if err := os.Symlink(source, module); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(source, deviceServer))
	if err != nil {
		return nil, err
	}
	if bytes.Count(text, []byte(listenUnix)) != 1 {
		return nil, fmt.Errorf("k8s.io/kubernetes %s: %s does not say %s, which must be changed for Wine; use another version", version, deviceServer, listenUnix)
	}
	server := filepath.Join(dir, "server.go")
	if err := os.WriteFile(server, bytes.Replace(text, []byte(listenUnix), []byte(listenTCP), 1), 0o644); err != nil {
		return nil, err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(module, deviceServer): server}})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644); err != nil {
		return nil, err
	}
	if err := b.goMod(dir, module, source, version); err != nil {
		return nil, err
	}
	return []string{"-trimpath", "-mod=mod", "-modfile=" + filepath.Join(dir, "go.mod"), "-overlay=" + filepath.Join(dir, "overlay.json")}, nil
}

// goMod writes go.mod and go.sum for a version into dir. That of the committed go.mod is
// taken as it is; another one moves the modules that are published with Kubernetes along.
func (b Builder) goMod(dir, module, source, version string) error {
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(b.module(kubernetesModule), name))
		if err != nil {
			return err
		}
		if name == "go.sum" && b.Kubernetes != "" {
			more, err := os.ReadFile(filepath.Join(source, name))
			if err != nil {
				return err
			}
			text = append(text, more...)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	edit := []string{"mod", "edit", "-replace=k8s.io/kubernetes=" + module}
	if b.Kubernetes != "" {
		text, err := os.ReadFile(filepath.Join(source, "go.mod"))
		if err != nil {
			return err
		}
		staging := strings.Replace(version, "v1.", "v0.", 1)
		edit = append(edit, "-require=k8s.io/kubernetes@"+version, "-require=k8s.io/component-base@"+staging)
		for _, m := range regexp.MustCompile(`(?m)^\s+(k8s\.io/[a-z-]+) v0\.0\.0$`).FindAllSubmatch(text, -1) {
			edit = append(edit, fmt.Sprintf("-replace=%s=%[1]s@%s", m[1], staging))
		}
	}
	_, err := b.output(dir, "go", append(edit, filepath.Join(dir, "go.mod"))...)
	return err
}
