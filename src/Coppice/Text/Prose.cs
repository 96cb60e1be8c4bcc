using System.Text;
using System.Xml.Linq;

namespace Coppice.Text;

/// <summary>A documented member as plain text.</summary>
static class Prose
{
    /// <summary>
    /// A type by its full name; a member by its type's and its own, a method with the names of its parameters: "String.Trim(trimChar)", "new String(c, count)".
    /// </summary>
    public static string Title(string id, XElement member)
    {
        string name = Name(id);
        if (id[0] is 'T' or 'N' || !name.Contains('.'))
            return name;
        string arguments = id[0] == 'M' ? $"({string.Join(", ", member.Elements("param").Select(param => (string?)param.Attribute("name")))})" : "";
        return IsConstructor(name) ? $"new {Simple(id)}{arguments}" : $"{Last(name[..name.LastIndexOf('.')])}.{Last(name)}{arguments}";
    }

    /// <summary>The summary as one line, or null where there is none.</summary>
    public static string? Summary(XElement member) => Section(member, "summary", _ => "").FirstOrDefault();

    /// <summary>The other lines: remarks, "name: ..." a parameter, "Value: ...", "Returns: ...", "Throws X: ...".</summary>
    public static IEnumerable<string> Details(XElement member) =>
        Section(member, "remarks", _ => "")
            .Concat(Section(member, "param", param => $"{(string?)param.Attribute("name")}: "))
            .Concat(Section(member, "value", _ => "Value: "))
            .Concat(Section(member, "returns", _ => "Returns: "))
            .Concat(Section(member, "exception", exception => $"Throws {Simple((string?)exception.Attribute("cref") ?? "")}: "));

    static IEnumerable<string> Section(XElement member, string tag, Func<XElement, string> heading) =>
        from element in member.Elements(tag)
        let text = Collapse(element)
        where text.Length > 0
        select heading(element) + text;

    static string Collapse(XElement element)
    {
        StringBuilder text = new();
        Append(element, text);
        return string.Join(' ', text.ToString().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }

    static void Append(XElement element, StringBuilder text)
    {
        foreach (XNode node in element.Nodes())
            if (node is XText plain)
                text.Append(plain.Value);
            else if (node is XElement inner)
                AppendInner(inner, text);
    }

    static void AppendInner(XElement element, StringBuilder text)
    {
        switch (element.Name.LocalName)
        {
            case "see" or "seealso" or "xref" when element.IsEmpty || element.Value.Length == 0:
                text.Append((string?)element.Attribute("langword") ?? (string?)element.Attribute("href")
                    ?? Simple((string?)element.Attribute("cref") ?? (string?)element.Attribute("uid") ?? ""));
                break;
            case "paramref" or "typeparamref":
                text.Append((string?)element.Attribute("name"));
                break;
            case "listheader":
                break;
            case "term":
                Append(element, text.Append(' '));
                text.Append(": ");
                break;
            case "para" or "p" or "br" or "item" or "description" or "list" or "ul" or "li" or "code":
                Append(element, text.Append(' '));
                text.Append(' ');
                break;
            default:
                Append(element, text);
                break;
        }
    }

    // "T:System.Collections.Generic.List`1" -> "List"; of a constructor, its type
    static string Simple(string id)
    {
        string name = Name(id);
        return Last(IsConstructor(name) ? name[..name.LastIndexOf('.')] : name);
    }

    static bool IsConstructor(string name) => name.EndsWith(".#ctor", StringComparison.Ordinal);

    static string Last(string name) => name[(name.LastIndexOf('.') + 1)..];

    // Without the kind, the parameters, the generic arity and arguments. An explicit "List.System#Collections#IList#Add" is "List.Add".
    static string Name(string id)
    {
        string path = id[(id.IndexOf(':') + 1)..].Split('(', '~')[0];
        StringBuilder name = new();
        int depth = 0;
        for (int i = 0; i < path.Length; i++)
        {
            depth += path[i] switch { '{' => 1, '}' => -1, _ => 0 };
            if (depth > 0 || path[i] == '}')
                continue;
            if (path[i] == '`')
                while (i + 1 < path.Length && (path[i + 1] == '`' || char.IsAsciiDigit(path[i + 1])))
                    i++;
            else
                name.Append(path[i]);
        }
        string flat = name.ToString();
        int member = flat.LastIndexOf('.') + 1;
        int explicitly = flat.LastIndexOf('#');
        return explicitly > member ? flat[..member] + flat[(explicitly + 1)..] : flat;
    }
}
