"Pieces of this project on the screen, side by side if there is room, or plain and whole in a file."

(import  nanogpt-hy.lab.lisp.finding [find-piece HOME]
         nanogpt-hy.lab.lisp.twin [expansion-of python-of])

(setv NARROW 55)      ; columns that a text needs at least to stand beside another

(defn show-piece [name * [python False] [macroexpand False] [console None]]
  "Print the source of the piece called NAME, beside or above its expansion and its Python.
  Highlighted in a terminal or a notebook, plain and whole elsewhere."
  (import rich.console [Console])
  (setv console (or console (Console))
        piece (find-piece name)
        where f"{(.as-posix (.relative-to piece.path HOME.parent))}, line {piece.line}"
        texts [[where "hylang" piece.text]])
  (when macroexpand
    (.append texts [f"{piece.name}, macros expanded" "hylang" (expansion-of name)]))
  (when python
    (.append texts [f"{piece.name} in Python" "python" (python-of name)]))
  (if (or console.is-terminal console.is-jupyter)
      (show-highlighted texts console)
      (show-plain texts console)))

(defn show-plain [texts console]
  "Each text under a comment that says what it is, so that it can be used as a file."
  (for [[i [title language text]] (enumerate texts)]
    (setv mark (if (= language "python") "#" ";;"))
    (.write console.file (+ (if i "\n" "") f"{mark} {title}\n{(.rstrip text "\n")}\n"))))

(defn show-highlighted [texts console]
  "The texts in colours, side by side if there is room."
  (import rich.console [Group]
          rich.syntax [Syntax]
          rich.table [Table]
          rich.text [Text])
  (setv blocks (lfor  [title language text] texts
                      (Group (Text title :style "dim")
                             (Syntax (.rstrip text "\n") language :theme (theme) :word-wrap True)
                             "")))
  (if (>= console.width (* NARROW (len texts)))
      (do
        (setv table (Table.grid :expand True :padding #(0 2 0 0)))
        (for [_ texts]
          (.add-column table :ratio 1))
        (.add-row table #* blocks)
        (.print console table))
      (.print console #* blocks :sep "")))

(defn coloured [text language]
  "TEXT in colours, as rich has it."
  (import rich.syntax [Syntax])
  (setv text (.highlight (Syntax "" language :theme (theme)) text))
  (.rstrip text)
  text)

(defn theme []
  (import rich.syntax [ANSISyntaxTheme])
  (ANSISyntaxTheme (colours)))

(defn colours []
  "What each kind of word looks like, in colours that light and dark terminals choose themselves."
  (import pygments.token [Comment Keyword Name Number Operator String Token]
          rich.style [Style])
  {Token          (Style)
   Comment        (Style :dim True :italic True)
   Keyword        (Style :color "blue" :bold True)
   Name.Builtin   (Style :color "blue")
   Operator.Word  (Style :color "blue")
   Number         (Style :color "cyan")
   String         (Style :color "green")
   String.Symbol  (Style :color "magenta")})
