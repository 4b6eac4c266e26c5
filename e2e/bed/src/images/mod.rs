//! Images without a container engine: a layer is a tar file of ours, a registry is a few HTTP requests.
//!
//! Rule: an image is a function of its inputs, with fixed times and owners, kept in the cache under a hash of them; pushing one
//! that the registry has costs one request. What goes into which image is in [`recipes`]; [`oci`] and [`tar`] only write formats,
//! [`push`] only moves bytes.

pub mod http;
pub mod oci;
pub mod push;
pub mod recipes;
pub mod tar;
