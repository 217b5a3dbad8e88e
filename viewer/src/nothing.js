// Stands for packages that the bundle names but never uses.
export const create = () => {
  throw new Error("not part of the viewer");
};
