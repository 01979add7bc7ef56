//! The type tags of DynamoDB JSON, in one place
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html>).

/// A type tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TypeTag {
    S,
    N,
    B,
    Bool,
    Null,
    M,
    L,
    Ss,
    Ns,
    Bs,
}

impl TypeTag {
    /// Parses the tag as DynamoDB spells it.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        // Byte by byte: compared as strings, each would be a call.
        Some(match name.as_bytes() {
            [b'S'] => Self::S,
            [b'N'] => Self::N,
            [b'B'] => Self::B,
            [b'B', b'O', b'O', b'L'] => Self::Bool,
            [b'N', b'U', b'L', b'L'] => Self::Null,
            [b'M'] => Self::M,
            [b'L'] => Self::L,
            [b'S', b'S'] => Self::Ss,
            [b'N', b'S'] => Self::Ns,
            [b'B', b'S'] => Self::Bs,
            _ => return None,
        })
    }

    /// Its name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
            Self::Bool => "BOOL",
            Self::Null => "NULL",
            Self::M => "M",
            Self::L => "L",
            Self::Ss => "SS",
            Self::Ns => "NS",
            Self::Bs => "BS",
        }
    }

    /// The type of a set's elements.
    pub(crate) fn element(self) -> Option<Self> {
        match self {
            Self::Ss => Some(Self::S),
            Self::Ns => Some(Self::N),
            Self::Bs => Some(Self::B),
            _ => None,
        }
    }

    /// Whether `byte` can begin a value of this type.
    pub(crate) fn begins_with(self, byte: u8) -> bool {
        match self {
            Self::S | Self::N | Self::B => byte == b'"',
            Self::Bool => matches!(byte, b't' | b'f'),
            Self::Null => byte == b't',
            Self::M => byte == b'{',
            Self::L | Self::Ss | Self::Ns | Self::Bs => byte == b'[',
        }
    }
}
