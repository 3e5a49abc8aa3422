//! What serde reads of a body, within bounds.
//!
//! bincode nests as deep as the bytes say, a call for each level, and takes as many elements as they
//! say, also of a type that has no bytes. JSON counts its arrays and objects, but not an `Option` or a
//! newtype, which take no bytes there: a type that is nothing else recurs for ever. So what they hand
//! out is wrapped here: each level is counted, and so are the elements that a length says. Everything
//! else goes straight through.

use std::{cell::Cell, fmt, marker::PhantomData};

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::{BYTELESS_ELEMENTS_MAX, DEPTH_MAX};

/// Decodes a value of so many bytes within the bounds.
pub(super) struct Root<T> {
    bytes: usize,
    value: PhantomData<T>,
}

impl<T> Root<T> {
    pub(super) const fn of_bytes(bytes: usize) -> Self {
        Self { bytes, value: PhantomData }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Root<T> {
    type Value = T;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        // An element takes a byte at least, or its type has none.
        let elements = Cell::new(self.bytes.saturating_add(BYTELESS_ELEMENTS_MAX));
        let left = Left { depth: DEPTH_MAX, elements: &elements };
        T::deserialize(Bounded { inner: deserializer, left })
    }
}

/// What is left of the bounds at one place of a value.
#[derive(Clone, Copy)]
struct Left<'b> {
    depth: usize,
    elements: &'b Cell<usize>,
}

impl Left<'_> {
    #[inline]
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(too_deep()),
        }
    }

    #[inline]
    fn take<E: Error>(self, elements: usize) -> Result<(), E> {
        match self.elements.get().checked_sub(elements) {
            Some(left) => {
                self.elements.set(left);
                Ok(())
            }
            None => Err(too_many()),
        }
    }
}

#[cold]
fn too_deep<E: Error>() -> E {
    E::custom(format_args!("it is nested deeper than {DEPTH_MAX} levels"))
}

#[cold]
fn too_many<E: Error>() -> E {
    E::custom(format_args!(
        "its sequences say more elements than it has bytes and {BYTELESS_ELEMENTS_MAX}"
    ))
}

/// Something of serde's with what is left for it.
struct Bounded<'b, T> {
    inner: T,
    left: Left<'b>,
}

/// A visitor with what is left for the value that it makes.
struct Visiting<'b, V> {
    inner: V,
    left: Left<'b>,
    /// The number of its elements comes from the bytes, not from its type.
    is_sized_by_bytes: bool,
}

impl<'b, V> Visiting<'b, V> {
    #[inline]
    fn of_type(inner: V, left: Left<'b>) -> Self {
        Self { inner, left, is_sized_by_bytes: false }
    }

    #[inline]
    fn of_bytes(inner: V, left: Left<'b>) -> Self {
        Self { inner, left, is_sized_by_bytes: true }
    }

    /// For what is inside the value, `elements` of them.
    #[inline]
    fn inside<E: Error>(&self, elements: Option<usize>) -> Result<Left<'b>, E> {
        if self.is_sized_by_bytes {
            // bincode says it, because the number stands before the elements. JSON does not, and has
            // a byte at least for each.
            self.left.take(elements.unwrap_or(0))?;
        }
        self.left.deeper()
    }
}

macro_rules! straight_through {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<'_, D> {
    type Error = D::Error;

    straight_through! {
        deserialize_any deserialize_ignored_any deserialize_identifier deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_bytes deserialize_byte_buf deserialize_unit
    }

    /// By way of the borrowed text, which whoever makes a `String` copies: bincode's own way fills a buffer
    /// with zeros first.
    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_option(Visiting::of_type(visitor, self.left))
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_newtype_struct(name, Visiting::of_type(visitor, self.left))
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_seq(Visiting::of_bytes(visitor, self.left))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple(len, Visiting::of_type(visitor, self.left))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple_struct(name, len, Visiting::of_type(visitor, self.left))
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(Visiting::of_bytes(visitor, self.left))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_struct(name, fields, Visiting::of_type(visitor, self.left))
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, Visiting::of_type(visitor, self.left))
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Of what has something inside alone: the others get their own visitor.
impl<'de, V: Visitor<'de>> Visitor<'de> for Visiting<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let left = self.inside(None)?;
        self.inner.visit_some(Bounded { inner: deserializer, left })
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        let left = self.inside(None)?;
        self.inner.visit_newtype_struct(Bounded { inner: deserializer, left })
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let left = self.inside(access.size_hint())?;
        self.inner.visit_seq(Bounded { inner: access, left })
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let left = self.inside(access.size_hint())?;
        self.inner.visit_map(Bounded { inner: access, left })
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let left = self.inside(None)?;
        self.inner.visit_enum(Bounded { inner: access, left })
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Bounded<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Bounded { inner: deserializer, left: self.left })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_element_seed(Bounded { inner: seed, left: self.left })
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(Bounded { inner: seed, left: self.left })
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Bounded { inner: seed, left: self.left })
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, 'b, A: EnumAccess<'de>> EnumAccess<'de> for Bounded<'b, A> {
    type Error = A::Error;
    type Variant = Bounded<'b, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let left = self.left;
        let (value, variant) = self.inner.variant_seed(Bounded { inner: seed, left })?;
        Ok((value, Bounded { inner: variant, left }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Bounded { inner: seed, left: self.left })
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Visiting::of_type(visitor, self.left))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Visiting::of_type(visitor, self.left))
    }
}
