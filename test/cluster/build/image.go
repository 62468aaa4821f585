// SPDX-License-Identifier: Apache-2.0

package build

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// image is a name that manifests have for an image, and what it runs when a pod does not
// say. The program is one of the file tree that all containers have.
type image struct {
	ref             string
	entrypoint, cmd []string
}

// known are the images that a node has. What they run are Linux programs that stand in for
// those of the image of that name.
var known = []image{
	{"registry.k8s.io/pause:3.10", []string{"/pause"}, nil},
	{"registry.k8s.io/pause:3.10.1", []string{"/pause"}, nil},
	{"registry.k8s.io/pause:3.10.2", []string{"/pause"}, nil},
	{"mcr.microsoft.com/oss/kubernetes/pause:3.9", []string{"/pause"}, nil},
	{"registry.k8s.io/e2e-test-images/agnhost:2.53", []string{"/agnhost"}, []string{"pause"}},
	{"registry.k8s.io/e2e-test-images/agnhost:2.55", []string{"/agnhost"}, []string{"pause"}},
	{"registry.k8s.io/e2e-test-images/agnhost:2.56", []string{"/agnhost"}, []string{"pause"}},
	{"registry.k8s.io/e2e-test-images/agnhost:2.59", []string{"/agnhost"}, []string{"pause"}},
	{"registry.k8s.io/e2e-test-images/agnhost:2.63.0", []string{"/agnhost"}, []string{"pause"}},
	{dnsImage, []string{"/" + dnsProgram}, nil},
	{"registry.k8s.io/e2e-test-images/busybox:1.37.0-1", nil, []string{"sh"}},
	{"registry.k8s.io/e2e-test-images/busybox:1.36.1-1", nil, []string{"sh"}},
	{"registry.k8s.io/e2e-test-images/glibc-dns-testing:2.0.0", nil, []string{"sh"}},
	{"docker.io/library/busybox:latest", nil, []string{"sh"}},
	{"docker.io/library/busybox:1.37", nil, []string{"sh"}},
	{"docker.io/library/nginx:latest", []string{"/agnhost"}, []string{"netexec", "--http-port=80"}},
	{"registry.k8s.io/e2e-test-images/nginx:1.14-4", []string{"/agnhost"}, []string{"netexec", "--http-port=80"}},
	{"registry.k8s.io/e2e-test-images/nginx:1.15-4", []string{"/agnhost"}, []string{"netexec", "--http-port=80"}},
	{"registry.k8s.io/e2e-test-images/nginx:1.27-0", []string{"/agnhost"}, []string{"netexec", "--http-port=80"}},
	{"registry.k8s.io/e2e-test-images/httpd:2.4.38-4", []string{"/agnhost"}, []string{"netexec", "--http-port=80"}},
	{"mcr.microsoft.com/windows/nanoserver:ltsc2022", nil, []string{"sh"}},
	{"mcr.microsoft.com/windows/servercore:ltsc2022", nil, []string{"sh"}},
	{"mcr.microsoft.com/windows/servercore/iis:windowsservercore-ltsc2022", []string{"/agnhost"}, []string{"netexec", "--http-port=80"}},
}

// dnsImage is what a cluster's name server runs, once Conformance has built it.
const dnsImage = "registry.k8s.io/coredns/coredns:latest"

const dnsProgram = "coredns"

// SandboxImage is what containerd is told to start for a pod.
const SandboxImage = "registry.k8s.io/pause:3.10.2"

// Images returns the archive of the Windows nodes' images in a folder of programs.
func Images(dir string) string { return filepath.Join(dir, "images.tar") }

// LinuxImages returns the archive of the same images for Linux nodes.
func LinuxImages(dir string) string { return filepath.Join(dir, "images-linux.tar") }

// Root returns the file tree of all containers in a folder of programs.
func Root(dir string) string { return filepath.Join(dir, "root") }

// images makes the archive of images and the file tree.
func (b Builder) images() error {
	for _, write := range []func() error{
		func() error { return writeImages(Images(b.Dir()), "windows", "ContainerUser", windowsLayer) },
		func() error { return writeImages(LinuxImages(b.Dir()), "linux", "", linuxLayer) },
	} {
		if err := write(); err != nil {
			return fmt.Errorf("make the images: %w", err)
		}
	}
	if err := b.root(Root(b.Dir())); err != nil {
		return fmt.Errorf("make the containers' files: %w", err)
	}
	return nil
}

// windowsLayer is what a Windows base image needs at least, of folders alone: Wine has no
// BackupWrite for files. linuxLayer is what containerd reads of a Linux image.
var (
	windowsLayer = []entry{{"Files/", ""}, {"Files/Windows/", ""}, {"Files/Windows/System32/", ""}, {"Files/Windows/System32/config/", ""}}
	linuxLayer   = []entry{{"etc/", ""}, {"etc/passwd", passwd}, {"etc/group", group}}
)

// entry is a folder of a layer when its name ends in a slash, or else a file.
type entry struct{ name, text string }

// layer writes a layer of an image.
func layer(of []entry) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range of {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: 0o644, Size: int64(len(e.text)), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if name, isFolder := strings.CutSuffix(e.name, "/"); isFolder {
			h.Typeflag, h.Name, h.Mode = tar.TypeDir, name, 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// writeImages writes an OCI archive for an operating system. Every image has the one layer.
func writeImages(file, goos, user string, of []entry) error {
	text, err := layer(of)
	if err != nil {
		return err
	}
	a := archive{blobs: map[string][]byte{}}
	content := a.put(ocispec.MediaTypeImageLayer, text)
	// Without a version of Windows the images are for every one.
	platform := ocispec.Platform{Architecture: "amd64", OS: goos}
	var manifests []ocispec.Descriptor
	for _, i := range known {
		config, err := a.putJSON(ocispec.MediaTypeImageConfig, ocispec.Image{
			Author: i.ref, Platform: platform,
			Config: ocispec.ImageConfig{Entrypoint: i.entrypoint, Cmd: i.cmd, User: user},
			RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{content.Digest}},
		})
		if err != nil {
			return err
		}
		m, err := a.putJSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
			Config: config, Layers: []ocispec.Descriptor{content},
		})
		if err != nil {
			return err
		}
		m.Platform = &platform
		m.Annotations = map[string]string{"io.containerd.image.name": i.ref, ocispec.AnnotationRefName: i.ref}
		manifests = append(manifests, m)
	}
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests})
	if err != nil {
		return err
	}
	return a.write(file, index)
}

// archive collects the blobs of an OCI archive.
type archive struct{ blobs map[string][]byte }

func (a archive) put(mediaType string, b []byte) ocispec.Descriptor {
	d := digest.FromBytes(b)
	a.blobs[d.Encoded()] = b
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

func (a archive) putJSON(mediaType string, v any) (ocispec.Descriptor, error) {
	text, err := json.Marshal(v)
	return a.put(mediaType, text), err
}

func (a archive) write(file string, index []byte) error {
	var out bytes.Buffer
	t := tar.NewWriter(&out)
	add := func(name string, b []byte) error {
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(b))}); err != nil {
			return err
		}
		_, err := t.Write(b)
		return err
	}
	if err := add("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	if err := add("index.json", index); err != nil {
		return err
	}
	for sum, b := range a.blobs {
		if err := add("blobs/sha256/"+sum, b); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	// A node of another cluster may be reading it.
	if err := os.WriteFile(file+".new", out.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
