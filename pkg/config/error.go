// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
)

// Kinds of errors, for errors.Is. Every *Error is exactly one of them.
var (
	// ErrSyntax: the configuration is not JSON.
	ErrSyntax = errors.New("not JSON")
	// ErrInvalid: the configuration says what cannot be.
	ErrInvalid = errors.New("invalid configuration")
	// ErrAnnotation: the pod's annotation is wrong.
	ErrAnnotation = errors.New("invalid pod annotation")
	// ErrUnsupported: the configuration asks for what this version has not.
	ErrUnsupported = errors.New("not supported by this version of bulkhead")
)

// Error is what Parse and ParseLenient fail with.
type Error struct {
	// Path is the JSON path of what is wrong, such as
	// runtimeConfig.portMappings[1].protocol; CNI_ARGS for the arguments; empty
	// for the document as a whole.
	Path string
	// Problem says what is wrong there, with the value.
	Problem string
	// Err is the kind: ErrSyntax, ErrInvalid, ErrAnnotation or ErrUnsupported.
	Err error
}

// Error returns the path and the problem.
func (e *Error) Error() string {
	if e.Path == "" {
		return e.Problem
	}
	return e.Path + ": " + e.Problem
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Err }

func invalid(path, format string, args ...any) error {
	return &Error{Path: path, Problem: fmt.Sprintf(format, args...), Err: ErrInvalid}
}

// at puts a path before that of an *Error.
func at(path string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.Path = path + e.Path
	}
	return err
}
